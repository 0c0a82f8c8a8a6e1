/**
 * `POST /v1/access`: a user's change of who may do what goes to the command service next to Postgres, and what became of it comes back. The
 * edge decides nothing here, and nothing is kept for later: whoever is not answered asks again with the same id.
 */
import { Result, Schema } from "effect"
import { AccessChange } from "#protocol/access-change.ts"
import type { AccessChangeResult } from "#protocol/access-change.ts"
import { MUTATION_ID_CHARS, SETTING_BYTES } from "#protocol/limits.ts"
import { RequestError } from "#protocol/request.ts"
import { isAddressText } from "#protocol/subject.ts"
import type { Author } from "./command.ts"
import type { Requests } from "./requests.ts"

const decode = Schema.decodeUnknownResult(AccessChange)

/** Rejects with a `RequestError`: `malformed` where `body` is no change of access, `unavailable` where nobody answers. */
export const changeAccess = async (requests: Requests, body: unknown, author: Author): Promise<AccessChangeResult> => {
  const decoded = decode(body)
  if (Result.isFailure(decoded)) throw malformed(decoded.failure.message.replaceAll(/\s+/g, " ").slice(0, 200))
  const change = decoded.success
  if (change.id === "" || change.id.length > MUTATION_ID_CHARS) throw malformed(`id is empty or longer than ${MUTATION_ID_CHARS} characters`)
  const unfit = Object.entries(change).find(([name, value]) => typeof value === "string" && !(NAMES.has(name) ? isName : isAddressText)(value))
  if (unfit !== undefined) throw malformed(`${unfit[0]} is too long, or no text that a row can have`)
  return requests.changeAccess({ ...author, change })
}

/** What is in no subject: whoever is named there may have as long a name as they can sign in with. */
const NAMES: ReadonlySet<string> = new Set(["principal", "user"])
const isName = (text: string): boolean => text.isWellFormed() && !text.includes("\0") && Buffer.byteLength(text) <= SETTING_BYTES + "role:".length

const malformed = (message: string): RequestError => new RequestError({ code: "malformed", message, hint: "protocol/access-change.ts and protocol/README.md say what a change of access is" })
