/** Whether authz answers, and as of which sequence. */
import { Clock, Effect, Option, Schema } from "effect"
import type { Nats } from "#nats/connection.ts"
import { REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import { MayReply, REQUEST, reply } from "#protocol/request.ts"

export interface AuthzFacts {
  readonly answers: boolean
  /** Milliseconds until it had reached the stream's last sequence and answered. */
  readonly tookMs: number
  /** Why it does not answer; empty where it does. */
  readonly reason: string
}

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(reply(MayReply)))

/** Asks something of no consequence, as of `at`: an answer proves that the fold has reached it. */
export const readAuthz = (nats: Nats, at: number): Effect.Effect<AuthzFacts> =>
  Effect.gen(function* () {
    const started = yield* Clock.currentTimeMillis
    const question = JSON.stringify({ user: "tideline-status", level: "VIEW", scope: null, entity: "tideline_status", id: "0", at })
    const answer = yield* Effect.promise(() =>
      nats.connection.request(REQUEST.may, question, { timeout: REQUEST_TIMEOUT_MS }).then((message) => message.string(), (error: unknown) => (error instanceof Error ? error : new Error(String(error)))),
    )
    const tookMs = (yield* Clock.currentTimeMillis) - started
    if (answer instanceof Error) return { answers: false, tookMs, reason: answer.message === "" ? answer.name : answer.message }
    const decoded = Option.getOrNull(decode(answer))
    if (decoded === null) return { answers: false, tookMs, reason: "its answer is not one of this version" }
    return decoded.ok ? { answers: true, tookMs, reason: "" } : { answers: false, tookMs, reason: decoded.error.message }
  })
