/**
 * The loop: look at the outbox, publish the window that is new, wait until it is time to look again. Windows come from window.ts, become
 * batches in pack.ts and go to publish.ts; each batch carries the cursor from which somebody else could go on.
 */
import type { Sql } from "#db/postgres.ts"
import { UNHURRIED_ROWS } from "#protocol/limits.ts"
import type { RelayCursor } from "./cursor.ts"
import { advance, windowDone } from "./cursor.ts"
import * as metrics from "./metrics.ts"
import type { Batch } from "./pack.ts"
import { boundsFor, packer } from "./pack.ts"
import type { OutboxRow } from "./row.ts"
import type { SetAside } from "./set-aside.ts"
import { lookAfter, streamWindow } from "./window.ts"

export interface Loop {
  /** For reading the outbox. */
  readonly sql: Sql
  readonly aside: SetAside
  readonly stopped: () => boolean
  /** Publishes a batch with the cursor that says so. Resolves when the next may be handed over. */
  readonly put: (batch: Batch, cursor: RelayCursor) => Promise<void>
  /** Nothing is left of what this snapshot sees. */
  readonly caughtUp: (window: string) => Promise<void>
  /** A window was too large to look at; it is streamed. */
  readonly flooded: () => Promise<void>
  /** Resolves when it is time to look again. `transactions`: what the last look found; `window`: the snapshot it saw. */
  readonly next: (transactions: number, window: string) => Promise<void>
}

/** Publishes everything after the cursor, and what comes, until it is stopped. Rejects with whatever its parts do. */
export const publishWindows = async (on: Loop, start: RelayCursor): Promise<void> => {
  const { sql, aside, stopped } = on
  let cursor = start
  while (!stopped()) {
    if (cursor.window !== null) {
      const whole = await publishStream(on, { ...cursor, window: cursor.window })
      if (!whole) return
      cursor = windowDone(cursor, cursor.window)
    }
    metrics.looks.add()
    const { window, rows } = await lookAfter(sql, cursor.last)
    if (rows === null) {
      cursor = advance(cursor, window, 0, 0)
      await on.flooded()
      continue
    }
    if (rows.length > 0) {
      const ready: Array<Batch> = []
      await aside.refresh(cursor.last)
      const pack = packer((batch) => ready.push(batch), 0, boundsFor(rows), aside.message)
      for (const row of rows) pack.add(row)
      pack.end()
      await aside.note()
      for (const [i, batch] of ready.entries()) {
        const { tx, id } = batch.at(-1)!.row
        await on.put(batch, i === ready.length - 1 ? windowDone(cursor, window) : advance(cursor, window, tx, id))
      }
    }
    if (rows.length <= UNHURRIED_ROWS) await on.caughtUp(window)
    cursor = windowDone(cursor, window)
    await on.next(transactionsIn(rows), window)
  }
}

/** Publishes what is left of the cursor's window as it is read. False where it was stopped on the way: what is published is published. */
const publishStream = async ({ sql, aside, stopped, put }: Loop, from: RelayCursor & { readonly window: string }): Promise<boolean> => {
  const ready: Array<Batch> = []
  let pack: ReturnType<typeof packer> | null = null
  const give = async (): Promise<boolean> => {
    for (const batch of ready.splice(0)) {
      const { tx, id } = batch.at(-1)!.row
      await put(batch, advance(from, from.window, tx, id))
    }
    return !stopped()
  }
  await aside.refresh(from.last)
  const whole = await streamWindow(sql, from, async (rows, published) => {
    pack ??= packer((batch) => ready.push(batch), published, undefined, aside.message)
    for (const row of rows) pack.add(row)
    await aside.note()
    return give()
  })
  if (!whole) return false
  ;(pack as ReturnType<typeof packer> | null)?.end()
  return give()
}

/** The last row of each has the transaction's largest id. */
const transactionsIn = (rows: ReadonlyArray<OutboxRow>): number => rows.reduce((sum, row) => (row.id === row.tx ? sum + 1 : sum), 0)
