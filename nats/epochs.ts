/** The numberings of the stream, from their events. */
import { Schema } from "effect"
import { Epoch } from "#protocol/epoch.ts"
import type { LogMessage } from "./log.ts"

const readEpoch = Schema.decodeUnknownSync(Schema.fromJsonString(Epoch))

/** The epochs among messages in sequence order: oldest first. */
export const epochsOf = (messages: ReadonlyArray<LogMessage>): ReadonlyArray<Epoch> =>
  messages.filter((message) => message.body !== "").map((message) => readEpoch(message.body))
