/**
 * Reading STATE for connections: so many at once, the rest in the order in which they came. A connection has at most one reading, and
 * one whose socket is full gives its place up (catch-up.ts), so nobody waits long for a slow one.
 *
 * Whoever is to be given the same as of the same position, as the members of a role are that gains a scope, is given it by one reading: those who
 * come while it waits for its place, or while one before it goes on, join it. Its pages are handed to them in turns.
 */
import type { Log, LogMessage } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import type { Pattern } from "#protocol/grant.ts"
import { metrics } from "./metrics.ts"
import type { Turns } from "./turns.ts"

export interface Replay {
  readonly patterns: ReadonlyArray<Pattern>
  readonly after: number
  /** Waits until STATE has reached this. */
  readonly atLeast?: number
  /** Nothing after this is wanted: it comes another way. */
  readonly upTo: number
  /** The patterns as one text, where others may want the same. */
  readonly shared?: string
  readonly start: (count: number) => void
  readonly page: (messages: ReadonlyArray<LogMessage>) => void | Promise<void>
  readonly signal: AbortSignal
}

/** How a reading ends for one, exactly once. */
export interface End {
  readonly reached: (position: number) => void
  readonly failed: (cause: unknown) => void
}

export class Replays {
  readonly #log: Log
  readonly #turns: Turns
  #free: number
  readonly #waiting: Array<() => void> = []
  /** By what is read: the reading that can still be joined, and the one that is under way. */
  readonly #gathering = new Map<string, Reading>()
  readonly #underway = new Map<string, Promise<void>>()

  constructor(log: Log, atOnce: number, turns: Turns) {
    this.#log = log
    this.#free = atOnce
    this.#turns = turns
  }

  /** Readings that wait for a place. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Gives what matches after `after`, up to `upTo`. Answers the position reached. Rejects with a `LogError`. */
  read(replay: Replay): Promise<number> {
    return new Promise((reached, failed) => this.start(replay, { reached, failed }))
  }

  /** The same for a connection, which is called back in its turn. */
  start(replay: Replay, end: End): void {
    const { after, upTo, shared } = replay
    if (shared === undefined) {
      const reading = new Reading(replay, this.#turns)
      reading.join(replay, end)
      void this.#run(reading)
      return
    }
    const what = `${after} ${upTo} ${shared}`
    let reading = this.#gathering.get(what)
    if (reading === undefined) {
      this.#gathering.set(what, (reading = new Reading(replay, this.#turns)))
      void this.#share(what, reading)
    }
    reading.join(replay, end)
  }

  async #share(what: string, reading: Reading): Promise<void> {
    await this.#underway.get(what)
    const run = this.#run(reading, () => this.#gathering.delete(what))
    this.#underway.set(what, run)
    await run
    if (this.#underway.get(what) === run) this.#underway.delete(what)
  }

  async #run(reading: Reading, begun: () => void = () => {}): Promise<void> {
    const began = performance.now()
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    begun()
    try {
      await reading.run(this.#log)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
      metrics.replaySeconds.observe((performance.now() - began) / 1_000)
    }
  }
}

interface Reader {
  readonly replay: Replay
  readonly end: End
}

/** One reading, for one or many. It ends with the last of them. */
class Reading {
  readonly #what: Replay
  readonly #turns: Turns
  readonly #readers = new Set<Reader>()
  readonly #nobody = new AbortController()

  /** `what`: of any of those who join. */
  constructor(what: Replay, turns: Turns) {
    this.#what = what
    this.#turns = turns
  }

  join(replay: Replay, end: End): void {
    const reader = { replay, end }
    this.#readers.add(reader)
    if (replay.signal.aborted) this.#leave(reader, calledOff())
    else replay.signal.addEventListener("abort", () => this.#leave(reader, calledOff()), { once: true })
  }

  #leave(reader: Reader, cause: unknown): void {
    if (!this.#readers.delete(reader)) return
    reader.end.failed(cause)
    if (this.#readers.size === 0) this.#nobody.abort()
  }

  async run(log: Log): Promise<void> {
    const { patterns, after, atLeast, upTo } = this.#what
    if (this.#readers.size === 0) return
    const enough = new AbortController()
    let reached: number
    try {
      const { position } = await log.readState({
        patterns,
        after,
        ...(atLeast === undefined ? {} : { atLeast }),
        start: (count) => this.#readers.forEach(({ replay }) => replay.start(count)),
        page: async (messages) => {
          if (this.#readers.size === 0) throw calledOff()
          const end = messages.findIndex((message) => message.seq > upTo)
          const wanted = end < 0 ? messages : messages.slice(0, end)
          if (wanted.length > 0) await this.#page(wanted)
          // Pages come in sequence order: nothing that is wanted follows.
          if (end >= 0) enough.abort()
        },
        signal: AbortSignal.any([this.#nobody.signal, enough.signal]),
      })
      reached = Math.max(after, Math.min(position, upTo))
    } catch (error) {
      if (!enough.signal.aborted) {
        await this.#each((reader) => this.#leave(reader, error))
        return
      }
      reached = upTo
    }
    await this.#each((reader) => {
      this.#readers.delete(reader)
      reader.end.reached(reached)
    })
  }

  /** Hands a page to everybody, and waits for those whose sockets are full as long as they are waited for. */
  async #page(messages: ReadonlyArray<LogMessage>): Promise<void> {
    const slow: Array<Promise<void>> = []
    await this.#each((reader) => {
      metrics.replayed.add(messages.length)
      try {
        const taken = reader.replay.page(messages)
        if (taken !== undefined) slow.push(taken.catch((cause: unknown) => this.#leave(reader, cause)))
      } catch (cause) {
        this.#leave(reader, cause)
      }
    })
    await Promise.all(slow)
  }

  /** Calls back for each of them: for one now, for many in turns. */
  #each(visit: (reader: Reader) => void): Promise<void> | void {
    if (this.#readers.size === 1) return this.#readers.forEach(visit)
    const left = [...this.#readers]
    return new Promise((resolve) => {
      this.#turns.add(() => {
        const reader = left.pop()
        if (reader === undefined) {
          resolve()
          return false
        }
        if (this.#readers.has(reader)) visit(reader)
        return true
      })
    })
  }
}

export const calledOff = (): LogError => new LogError({ reason: "aborted", message: "the reading was called off", hint: "" })
