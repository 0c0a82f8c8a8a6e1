/**
 * Answering requests over NATS: decodes the request, bounds how many are under way, and answers every one that arrives, with the value
 * or with a `RequestError`. Requests come from `protocol/request.ts` subjects; instances in one queue group share them.
 *
 * When the scope closes no more requests are taken, and those under way are answered first.
 */
import type { Msg } from "@nats-io/nats-core"
import { Cause, Effect, Schema } from "effect"
import type { Scope } from "effect"
import { DURATION_BOUNDARIES, counter, gaugeOf, histogram } from "#observe/metrics.ts"
import type { ErrorCode } from "#protocol/down.ts"
import { RequestError } from "#protocol/request.ts"
import type { Nats } from "./connection.ts"

/** A reply that its maker has written already, because parts of it are the same in many. */
export class Json {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export interface Serve<Request, Encoded> {
  /** Of metrics and log lines: `authz.views`. */
  readonly name: string
  /** May hold wildcards; `handle` is told the subject that was asked. */
  readonly subject: string
  /** Null: each instance answers. */
  readonly queue: string | null
  readonly request: Schema.ConstraintCodec<Request, Encoded>
  /** Requests under way at once; what is above is answered with `unavailable`. */
  readonly inFlight: number
  /** What to reply, a value or its `Json`. Rejects with a `RequestError`; anything else is a defect: logged, and answered with `internal`. */
  readonly handle: (request: Request, subject: string) => unknown
}

/** Serves for as long as the scope lives. */
export const serve = <Request, Encoded>(nats: Nats, options: Serve<Request, Encoded>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const { name, subject, queue, inFlight, handle } = options
    const decode = Schema.decodeUnknownSync(options.request)
    const underway = new Set<Promise<void>>()
    const seconds = histogram("tideline_request_seconds", "Seconds from a request's arrival to its reply", DURATION_BOUNDARIES, { request: name })
    const count = requestCounter(name)
    gaugeOf("tideline_requests_underway", "Requests that are being worked on", () => underway.size, { request: name })

    const answer = async (message: Msg): Promise<void> => {
      const began = performance.now()
      let result: "ok" | ErrorCode = "ok"
      let reply: string
      try {
        if (underway.size >= inFlight) throw overloaded
        const value = await handle(read(decode, message), message.subject)
        reply = `{"ok":true,"value":${value instanceof Json ? value.text : JSON.stringify(value)}}`
      } catch (cause) {
        const error = asRequestError(cause)
        if (error !== cause) runFork(Effect.logError(`${name}: a request failed unexpectedly`, Cause.die(cause)))
        result = error.code
        reply = JSON.stringify({ ok: false, error: encodeError(error) })
      }
      message.respond(reply)
      count(result)
      seconds.observe((performance.now() - began) / 1_000)
    }

    yield* Effect.acquireRelease(
      Effect.sync(() =>
        nats.connection.subscribe(subject, {
          ...(queue === null ? {} : { queue }),
          callback: (error, message) => {
            if (error !== null) {
              runFork(Effect.logError(`${name}: cannot be served: ${error.message}`))
              return
            }
            const work = answer(message)
            underway.add(work)
            void work.finally(() => underway.delete(work))
          },
        }),
      ),
      (subscription) =>
        Effect.promise(async () => {
          if (nats.connection.isClosed()) return
          await subscription.drain().catch(() => {})
          await Promise.all(underway)
          await nats.connection.flush().catch(() => {})
        }),
    )
  })

const encodeError = Schema.encodeSync(RequestError)

const overloaded = new RequestError({ code: "unavailable", message: "too many requests at once", hint: "ask again", retryAfter: 1 })

const read = <Request>(decode: (input: unknown) => Request, message: Msg): Request => {
  try {
    return decode(message.json())
  } catch (error) {
    throw new RequestError({
      code: "malformed",
      message: `not a request to ${message.subject}: ${error instanceof Error ? error.message : String(error)}`,
      hint: "see protocol/request.ts",
    })
  }
}

const asRequestError = (cause: unknown): RequestError =>
  cause instanceof RequestError
    ? cause
    : new RequestError({ code: "internal", message: "the request could not be answered", hint: "the service's log says why" })

const requestCounter = (name: string): ((result: "ok" | ErrorCode) => void) => {
  const counters = new Map<string, ReturnType<typeof counter>>()
  return (result) => {
    let one = counters.get(result)
    if (one === undefined) {
      one = counter("tideline_requests_total", "Requests answered", { request: name, result })
      counters.set(result, one)
    }
    one.add()
  }
}
