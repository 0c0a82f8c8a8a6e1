/**
 * Text becomes a frame from a client, or the error that says what is wrong with it; a frame to a client becomes text. From a socket to
 * session.ts and back.
 */
import { Result, Schema } from "effect"
import type { Down, ErrorCode } from "#protocol/down.ts"
import type { Up, UpType } from "#protocol/up.ts"
import { Auth, Mutate, Ping, Presence, Subscribe, TokenRefresh, UP_TYPES, Unsubscribe, UnsubscribeAll } from "#protocol/up.ts"

/** Why a frame is none. The connection ends with 4000. */
export interface BadFrame {
  readonly code: Extract<ErrorCode, "malformed" | "unknown_type">
  readonly message: string
  readonly hint: string
}

const decoders: Readonly<Record<UpType, (input: unknown) => Result.Result<Up, { readonly message: string }>>> = {
  AUTH: Schema.decodeUnknownResult(Auth),
  SUBSCRIBE: Schema.decodeUnknownResult(Subscribe),
  UNSUBSCRIBE: Schema.decodeUnknownResult(Unsubscribe),
  UNSUBSCRIBE_ALL: Schema.decodeUnknownResult(UnsubscribeAll),
  MUTATE: Schema.decodeUnknownResult(Mutate),
  PRESENCE: Schema.decodeUnknownResult(Presence),
  TOKEN_REFRESH: Schema.decodeUnknownResult(TokenRefresh),
  PING: Schema.decodeUnknownResult(Ping),
}

/** Characters of a type or a problem that are said back. */
const ECHO_CHARS = 200

const malformed = (message: string, hint: string): Result.Result<never, BadFrame> => Result.fail({ code: "malformed", message, hint })

export const decodeUp = (text: string): Result.Result<Up, BadFrame> => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return malformed("the frame is not JSON", 'a frame is {"type": …, "payload": …} as JSON text')
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) || !("type" in value) || typeof value.type !== "string")
    return malformed("the frame is not an object with a type", 'a frame is {"type": …, "payload": …} as JSON text')
  const { type } = value
  if (!isUpType(type))
    return Result.fail({ code: "unknown_type", message: `no frame is called ${JSON.stringify(type.slice(0, ECHO_CHARS))}`, hint: `one of ${UP_TYPES.join(", ")}` })
  return Result.mapError(decoders[type](value), (problem): BadFrame => ({
    code: "malformed",
    message: `${type}: ${firstLines(problem.message)}`,
    hint: "see protocol/README.md, frames to the edge",
  }))
}

const isUpType = (type: string): type is UpType => (UP_TYPES as ReadonlyArray<string>).includes(type)

const firstLines = (text: string): string => text.replaceAll(/\s+/g, " ").slice(0, ECHO_CHARS)

export const encodeDown = (frame: Down): string => JSON.stringify(frame)
