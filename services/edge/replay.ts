/**
 * Reading STATE for connections: so many at once, the rest in the order in which they came. A connection has at most one reading, and
 * one whose socket is full gives its place up (catch-up.ts), so nobody waits for a slow one.
 */
import type { Log, LogMessage } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import type { Pattern } from "#protocol/grant.ts"
import { metrics } from "./metrics.ts"

export interface Replay {
  readonly patterns: ReadonlyArray<Pattern>
  readonly after: number
  /** Waits until STATE has reached this. */
  readonly atLeast?: number
  /** Nothing after this is wanted: it comes another way. */
  readonly upTo: number
  readonly start: (count: number) => void
  readonly page: (messages: ReadonlyArray<LogMessage>) => void | Promise<void>
  readonly signal: AbortSignal
}

export class Replays {
  readonly #log: Log
  #free: number
  readonly #waiting: Array<() => void> = []

  constructor(log: Log, atOnce: number) {
    this.#log = log
    this.#free = atOnce
  }

  /** Readings that wait for a place. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Gives what matches after `after`, up to `upTo`. Answers the position reached. Rejects with a `LogError`. */
  async read(replay: Replay): Promise<number> {
    const { patterns, after, atLeast, upTo, start, signal } = replay
    const began = performance.now()
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const enough = new AbortController()
    try {
      if (signal.aborted) throw calledOff()
      const { position } = await this.#log.readState({
        patterns,
        after,
        ...(atLeast === undefined ? {} : { atLeast }),
        start,
        page: async (messages) => {
          if (signal.aborted) throw calledOff()
          const end = messages.findIndex((message) => message.seq > upTo)
          const wanted = end < 0 ? messages : messages.slice(0, end)
          if (wanted.length > 0) await replay.page(wanted)
          metrics.replayed.add(wanted.length)
          // Pages come in sequence order: nothing that is wanted follows.
          if (end >= 0) enough.abort()
        },
        signal: AbortSignal.any([signal, enough.signal]),
      })
      return Math.max(after, Math.min(position, upTo))
    } catch (error) {
      if (enough.signal.aborted && !signal.aborted) return upTo
      throw error
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
      metrics.replaySeconds.observe((performance.now() - began) / 1_000)
    }
  }
}

export const calledOff = (): LogError => new LogError({ reason: "aborted", message: "the reading was called off", hint: "" })
