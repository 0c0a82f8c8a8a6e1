/**
 * The order argument of window.ts against a model of Postgres: sequences, row locks, snapshots and commits in any interleaving, a relay
 * that looks whenever it likes, is killed whenever, and has only the cursor on what it published.
 */
import { expect } from "vitest"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { RelayCursor } from "./cursor.ts"
import { advance, beginning, formatCursor, parseCursor, windowDone } from "./cursor.ts"
import type { OutboxRow } from "./row.ts"
import { parseSnapshot, sees } from "./snapshot.ts"
import { inOrder } from "./window.ts"

interface Transaction {
  /** Assigned with the first write. */
  xid: bigint | null
  readonly locks: Set<string>
  readonly rows: Array<OutboxRow>
  /** Entities it has read: what it writes is caused by them. */
  state: "open" | "committed" | "aborted"
}

class Model {
  private nextXid = 100n
  private nextId = 1
  readonly transactions: Array<Transaction> = []
  /** Committed, in commit order. */
  readonly committed: Array<Transaction> = []

  begin(): Transaction {
    const transaction: Transaction = { xid: null, locks: new Set(), rows: [], state: "open" }
    this.transactions.push(transaction)
    return transaction
  }

  open(): ReadonlyArray<Transaction> {
    return this.transactions.filter((t) => t.state === "open")
  }

  /** Waits (answers false) while another holds the row. */
  write(transaction: Transaction, entity: string): boolean {
    if (this.open().some((t) => t !== transaction && t.locks.has(entity))) return false
    transaction.locks.add(entity)
    transaction.xid ??= this.nextXid++
    const id = this.nextId++
    transaction.rows.push({
      id, xid: String(transaction.xid), entity, entityId: entity, scope: null, op: "UPDATE", after: "{}", before: null, at: "", user: null, mutation: null, trace: null, tx: 0, count: 0,
    })
    return true
  }

  /** A savepoint is rolled back: its rows are never seen, the ids are gone. */
  rollBackTo(transaction: Transaction, rows: number): void {
    transaction.rows.splice(rows)
  }

  end(transaction: Transaction, state: "committed" | "aborted"): void {
    transaction.state = state
    if (state === "committed" && transaction.rows.length > 0) this.committed.push(transaction)
  }

  snapshot(): string {
    const running = this.open().flatMap((t) => (t.xid === null ? [] : [t.xid])).sort((a, b) => (a < b ? -1 : 1))
    return `${running[0] ?? this.nextXid}:${this.nextXid}:${running.join(",")}`
  }

  /** What `window` sees and `last` does not. */
  between(last: string, window: string): ReadonlyArray<OutboxRow> {
    const [before, after] = [parseSnapshot(last)!, parseSnapshot(window)!]
    return inOrder(this.committed.flatMap((t) => t.rows).filter((row) => sees(after, BigInt(row.xid)) && !sees(before, BigInt(row.xid))))
  }
}

/** A relay that publishes a random part of what it should and forgets everything but the cursor. */
const relayOnce = (random: Random, model: Model, stream: Array<{ row: OutboxRow; cursor: string }>): void => {
  let cursor: RelayCursor = stream.length === 0 ? beginning("1", "s") : parseCursor(stream.at(-1)!.cursor)!
  for (let windows = 1 + random.int(3); windows > 0; windows--) {
    const window = cursor.window ?? model.snapshot()
    const { last, tx, id } = cursor
    const rest = model.between(last, window).filter((row) => row.tx > tx || (row.tx === tx && row.id > id))
    const part = random.chance(0.3) ? rest.slice(0, random.int(rest.length + 1)) : rest
    for (const row of part) stream.push({ row, cursor: formatCursor((cursor = advance(cursor, window, row.tx, row.id))) })
    if (part.length < rest.length) return
    cursor = windowDone(cursor, window)
    // The last batch of a window may say that the window is done.
    if (part.length > 0 && random.chance(0.5)) stream[stream.length - 1]!.cursor = formatCursor(cursor)
  }
}

property("publishes each committed row once, transactions whole, each entity in commit order, whatever interleaves", 400, (random) => {
  const model = new Model()
  const stream: Array<{ row: OutboxRow; cursor: string }> = []
  const entities = Array.from({ length: 1 + random.int(5) }, (_, i) => `e${i}`)
  const steps = 20 + random.int(120)
  for (let step = 0; step < steps; step++) {
    const open = model.open()
    const dice = random.int(10)
    if (open.length === 0 || (dice === 0 && open.length < 8)) model.begin()
    else if (dice < 6) model.write(random.pick(open), random.pick(entities))
    else if (dice === 6) {
      const transaction = random.pick(open)
      model.rollBackTo(transaction, random.int(transaction.rows.length + 1))
    } else if (dice < 9) model.end(random.pick(open), random.chance(0.85) ? "committed" : "aborted")
    else relayOnce(random, model, stream)
  }
  for (const transaction of model.open()) model.end(transaction, "committed")
  for (let tries = 0; tries < 20 && stream.length < model.committed.flatMap((t) => t.rows).length; tries++) relayOnce(random, model, stream)

  const published = stream.map((s) => s.row)
  const committed = model.committed.flatMap((t) => t.rows)
  expect(published.map((r) => r.id).toSorted((a, b) => a - b)).toEqual(committed.map((r) => r.id).toSorted((a, b) => a - b))
  for (const entity of entities) {
    expect(published.filter((r) => r.entity === entity).map((r) => r.id)).toEqual(committed.filter((r) => r.entity === entity).map((r) => r.id))
  }
  // Whole: the rows of a transaction are neighbours.
  expect(published.filter((r, i) => i === 0 || r.xid !== published[i - 1]!.xid).length).toBe(new Set(published.map((r) => r.xid)).size)
})
