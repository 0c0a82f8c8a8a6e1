/** What writes to Postgres while everything around it fails. */
import { setTimeout as after } from "node:timers/promises"
import type { Sql } from "#db/postgres.ts"
import type { Random } from "#test/support/random.ts"

/** What a writer is given for one step. */
export interface Turn {
  readonly sql: Sql
  readonly random: Random
  /** Waits, but not longer than it takes until writers are told to stand still. Rejects where the connection was lost. */
  readonly pause: (ms: number) => Promise<void>
  /** The name of the next transaction: `<writer>:<number>`, growing; it travels as the mutation's id. */
  readonly next: () => string
  /** Postgres said that this transaction, which changed something, is committed. */
  readonly acknowledged: (transaction: string) => void
}

export interface Writer {
  readonly name: string
  /** One step: a transaction or a few, ended in one way or another when it resolves. A rejection is a transaction that failed, or whose answer was lost. */
  readonly once: (turn: Turn) => Promise<void>
  /** Milliseconds between two steps, about. */
  readonly every: number
  /** Ends what an earlier step may have left open. */
  readonly tidy?: (sql: Sql) => Promise<void>
}

export interface Writers {
  /** Resolves when no transaction is open, and none begins until `goOn`. */
  readonly standStill: () => Promise<void>
  readonly goOn: () => void
  /** Transactions acknowledged since the last call. */
  readonly acknowledged: () => ReadonlyArray<string>
  /** Transactions so far, and those of them that failed or whose answer was lost. */
  readonly counts: () => { readonly done: number; readonly failed: number }
  readonly stop: () => Promise<void>
}

/** Milliseconds after which a step is given up: a connection died and nobody told it. */
const PATIENCE_MS = 5_000
/** Milliseconds before the next try where Postgres does not answer. */
const AWAY_MS = 100

interface Hand {
  readonly writer: Writer
  readonly random: Random
}

/** Sets the writers going. `connect` opens a connection of its own for each, and calls back when it is lost. */
export const startWriters = (hands: ReadonlyArray<Hand>, connect: (name: string, lost: () => void) => Sql): Writers => {
  let acknowledged: Array<string> = []
  let still = false
  let stopped = false
  let done = 0
  let failed = 0
  const busy = new Set<string>()
  let waiting: Array<() => void> = []
  const change = (): void => {
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }
  const untilChange = (): Promise<void> => new Promise((resolve) => void waiting.push(resolve))

  const pause = async (ms: number): Promise<void> => {
    const deadline = performance.now() + ms
    for (let left = ms; !still && !stopped && left > 0; left = deadline - performance.now()) await Promise.race([after(left), untilChange()])
  }

  const run = async ({ writer, random }: Hand): Promise<void> => {
    let losses = 0
    const lose = (): void => {
      losses++
      change()
    }
    let sql = connect(writer.name, lose)
    let number = 0
    let untidy = false
    const turn = (before = losses): Turn => ({
      sql,
      random,
      pause: async (ms) => {
        await pause(ms)
        if (losses > before) throw new Error("the connection was lost")
      },
      next: () => `${writer.name}:${++number}`,
      acknowledged: (transaction) => void acknowledged.push(transaction),
    })
    while (!stopped) {
      while (still && !untidy && !stopped) await untilChange()
      if (stopped) break
      busy.add(writer.name)
      const end = new AbortController()
      try {
        const step = untidy ? (writer.tidy?.(sql) ?? Promise.resolve()) : writer.once(turn())
        await Promise.race([step, after(PATIENCE_MS, undefined, { signal: end.signal }).then(() => Promise.reject(new GivenUp()))])
        untidy = false
        done++
      } catch (cause) {
        failed++
        untidy = writer.tidy !== undefined
        if (cause instanceof GivenUp) {
          void sql.end({ timeout: 0 })
          sql = connect(writer.name, lose)
        }
        if (isAway(cause)) await after(AWAY_MS)
      } finally {
        end.abort()
        if (!untidy) busy.delete(writer.name)
        change()
      }
      await pause(writer.every * (0.5 + random.next()))
    }
    await sql.end({ timeout: 1 })
  }
  const running = hands.map(run)
  return {
    standStill: async () => {
      still = true
      change()
      while (busy.size > 0) await untilChange()
    },
    goOn: () => {
      still = false
      change()
    },
    acknowledged: () => {
      const since = acknowledged
      acknowledged = []
      return since
    },
    counts: () => ({ done, failed }),
    stop: async () => {
      stopped = true
      change()
      await Promise.all(running)
    },
  }
}

class GivenUp extends Error {}

/** Postgres is not there, as opposed to having refused this one transaction. */
const isAway = (cause: unknown): boolean => !/^[0-9A-Z]{5}$/.test(String((cause as { code?: unknown }).code)) || String((cause as { code?: unknown }).code).startsWith("57P")

/** A transaction that undoes itself. */
export class Undone extends Error {}

/** Runs the transaction under its name; rolls back where `work` throws. `Undone` is no failure. */
export const transact = async (turn: Turn, work: (tx: Parameters<Parameters<Sql["begin"]>[1]>[0]) => Promise<void>): Promise<void> => {
  const name = turn.next()
  try {
    await turn.sql.begin(async (tx) => {
      await tx`select set_config('tide.mutation_id', ${name}, true)`
      await work(tx)
    })
  } catch (cause) {
    if (cause instanceof Undone) return
    throw cause
  }
  turn.acknowledged(name)
}
