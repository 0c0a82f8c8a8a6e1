/** Passwords and keys of the embedded servers. nats.conf reads them as configuration text, so: letters and digits, a letter first. */
import { randomBytes } from "node:crypto"

export const newSecret = (): string => `s${randomBytes(20).toString("hex")}`
