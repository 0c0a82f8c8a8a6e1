/**
 * The order argument of window.ts against a model of Postgres (order-model.ts): any interleaving of writers, a relay that looks whenever it
 * likes, is killed anywhere, and has only the cursor on what it published. The same histories must catch rules that are wrong.
 */
import { expect, it } from "vitest"
import type { Random } from "#test/support/random.ts"
import { property, randomFrom } from "#test/support/random.ts"
import type { RelayCursor } from "./cursor.ts"
import { advance, beginning, formatCursor, parseCursor, windowDone } from "./cursor.ts"
import type { Transaction } from "./order-model.ts"
import { PostgresModel } from "./order-model.ts"
import type { OutboxRow } from "./row.ts"
import { NOTHING_SEEN, parseSnapshot, sees } from "./snapshot.ts"
import { inOrder } from "./window.ts"

/** Publishes some of what there is; is asked again and again. `random` says how far it gets. */
type Relay = (model: PostgresModel, random: Random) => void

interface History {
  readonly model: PostgresModel
  readonly published: ReadonlyArray<OutboxRow>
}

/** At most `steps` steps of up to 8 transactions and the relay; then all end, and the relay publishes the rest. */
const play = (random: Random, makeRelay: (stream: Array<OutboxRow>) => Relay, steps: number): History => {
  const model = new PostgresModel()
  const stream: Array<OutboxRow> = []
  const relay = makeRelay(stream)
  const entities = Array.from({ length: 1 + random.int(5) }, (_, i) => `e${i}`)
  for (let step = 0; step < steps; step++) {
    const [open, prepared] = [model.open(), model.prepared()]
    const dice = random.int(24)
    if (open.length === 0 || (dice < 3 && open.length < 8)) model.begin(random.chance(0.7) ? "read committed" : "repeatable read")
    else if (dice < 6) model.read(random.pick(open), random.pick(entities))
    else if (dice < 16) {
      const transaction = random.pick(open)
      if (transaction.statement.length > 0) model.finish(transaction)
      else model.lock(transaction, [...new Set([random.pick(entities), ...random.list(2, () => random.pick(entities))])])
    } else if (dice === 16) model.savepoint(random.pick(open))
    else if (dice === 17) model.rollBack(random.pick(open))
    else if (dice === 18) model.prepare(random.pick(open))
    else if (dice < 22) model.end(random.pick(random.chance(0.3) && prepared.length > 0 ? prepared : open), random.chance(0.85) ? "committed" : "aborted")
    else relay(model, random)
  }
  for (const transaction of random.shuffle([...model.open(), ...model.prepared()])) {
    model.end(transaction, "committed")
    if (random.chance(0.3)) relay(model, random)
  }
  for (let tries = 0; tries < 20 && stream.length < model.rows().length; tries++) relay(model, random)
  return { model, published: stream }
}

/** The relay of work.ts: publishes a random part, and forgets everything but the cursor on the last message. */
const ours = (stream: Array<OutboxRow>): Relay => {
  const cursors: Array<string> = []
  return (model, random) => {
    let cursor: RelayCursor = cursors.length === 0 ? beginning("1", "s") : parseCursor(cursors.at(-1)!)!
    for (let windows = 1 + random.int(3); windows > 0; windows--) {
      const window = cursor.window ?? model.snapshot()
      const { last, tx, id } = cursor
      const rest = inOrder(between(model, last, window)).filter((row) => row.tx > tx || (row.tx === tx && row.id > id))
      const part = random.chance(0.3) ? rest.slice(0, random.int(rest.length + 1)) : rest
      for (const row of part) {
        cursors.push(formatCursor((cursor = advance(cursor, window, row.tx, row.id))))
        stream.push(row)
      }
      if (part.length < rest.length) return
      cursor = windowDone(cursor, window)
      // The last batch of a window may say that the window is done.
      if (part.length > 0 && random.chance(0.5)) cursors[cursors.length - 1] = formatCursor(cursor)
    }
  }
}

/** What `window` sees and `last` does not. */
const between = (model: PostgresModel, last: string, window: string): ReadonlyArray<OutboxRow> => {
  const [before, after] = [parseSnapshot(last)!, parseSnapshot(window)!]
  return model.rows().filter((row) => sees(after, BigInt(row.xid)) && !sees(before, BigInt(row.xid)))
}

/** What is wrong with what was published, or null. */
const judge = ({ model, published }: History): string | null => {
  const place = new Map(published.map((row, i) => [row.id, i]))
  if (place.size < published.length) return "a row twice"
  const lost = model.rows().find((row) => !place.has(row.id))
  if (lost !== undefined) return `row ${lost.id} is lost`
  if (published.length > model.rows().length) return "a row that was not committed"
  for (const { name, rows } of model.committed) {
    const places = rows.map((row) => place.get(row.id)!)
    if (places.some((at, i) => i > 0 && at !== places[i - 1]! + 1)) return `${name} is not whole, or not in its own order`
  }
  const at = (transaction: Transaction): number => place.get(transaction.rows[0]!.id)!
  const versions = new Map<string, Transaction>()
  for (const transaction of model.committed) {
    for (const { entity } of transaction.rows) {
      const before = versions.get(entity)
      if (before !== undefined && before !== transaction && at(before) > at(transaction)) return `${transaction.name} is told before ${before.name}, which changed ${entity} before it`
      versions.set(entity, transaction)
    }
    for (const cause of transaction.causes) if (at(cause) > at(transaction)) return `${transaction.name} is told before ${cause.name}, which it had seen when it wrote`
    // The promise in full; the two above follow from it.
    for (const other of model.committed) if (other.ended < transaction.lastDraw && at(other) > at(transaction)) return `${transaction.name} is told before ${other.name}, which had ended when it wrote`
  }
  return null
}

const stepsOf = (random: Random): number => 10 + random.int(110)

property("tells each committed row once, transactions whole, entities in commit order, causes before effects, whatever interleaves", 20_000, (random) => {
  const seed = random.int(2 ** 31)
  const run = (steps: number): History => play(randomFrom(seed), ours, steps)
  const steps = stepsOf(random)
  if (judge(run(steps)) === null) return
  // A history of fewer steps begins in the same way: the shortest that fails is easiest to read.
  const fewest = Array.from({ length: steps + 1 }, (_, n) => n).find((n) => judge(run(n)) !== null)!
  const history = run(fewest)
  expect.fail(`${judge(history)}\n${history.model.trace.join("\n")}\ntold: ${history.published.map((row) => row.id).join(" ")}`)
})

/** Takes windows as ours does, and sorts them by another rule. */
const sortedBy =
  (rule: (a: OutboxRow, b: OutboxRow, smallest: ReadonlyMap<string, number>) => number) =>
  (stream: Array<OutboxRow>): Relay => {
    let last = NOTHING_SEEN
    return (model) => {
      const window = model.snapshot()
      const rows = inOrder(between(model, last, window))
      const smallest = new Map<string, number>()
      for (const row of rows) smallest.set(row.xid, Math.min(row.id, smallest.get(row.xid) ?? Infinity))
      stream.push(...rows.toSorted((a, b) => rule(a, b, smallest)))
      last = window
    }
  }

const WRONG: ReadonlyArray<readonly [rule: string, relay: (stream: Array<OutboxRow>) => Relay]> = [
  ["rows by id", sortedBy((a, b) => a.id - b.id)],
  ["transactions by their ids", sortedBy((a, b) => Number(BigInt(a.xid) - BigInt(b.xid)) || a.id - b.id)],
  ["transactions by their smallest outbox id", sortedBy((a, b, smallest) => smallest.get(a.xid)! - smallest.get(b.xid)! || a.id - b.id)],
  ["what is above the last outbox id", (stream) => {
    let last = 0
    return (model) => {
      const rows = inOrder(model.rows().filter((row) => row.id > last))
      stream.push(...rows)
      last = Math.max(last, ...rows.map((row) => row.id))
    }
  }],
  ["what is below the oldest transaction under way", (stream) => {
    let horizon = 0n
    return (model) => {
      const { xmin } = parseSnapshot(model.snapshot())!
      stream.push(...inOrder(model.rows().filter((row) => BigInt(row.xid) >= horizon && BigInt(row.xid) < xmin)))
      horizon = xmin
    }
  }],
  ["what began after the last snapshot", (stream) => {
    let last = 0n
    return (model) => {
      const window = parseSnapshot(model.snapshot())!
      stream.push(...inOrder(model.rows().filter((row) => BigInt(row.xid) >= last && sees(window, BigInt(row.xid)))))
      last = window.xmax
    }
  }],
]

it.each(WRONG)("catches a relay that takes %s", (_, relay) => {
  const found = Array.from({ length: 3_000 }, (_unused, seed) => seed).find((seed) => judge(play(randomFrom(seed), relay, 120)) !== null)
  expect(found).toBeTypeOf("number")
})

it("promises nothing of what a transaction saw only after its last write", () => {
  // A writes; B writes and commits; A sees that (a deferred constraint, a last question) and commits: nothing A wrote came from it.
  const model = new PostgresModel()
  model.begin("read committed")
  model.begin("read committed")
  const [a, b] = model.transactions as [Transaction, Transaction]
  for (const [transaction, entity] of [[a, "child"], [b, "parent"]] as const) {
    model.lock(transaction, [entity])
    model.finish(transaction)
  }
  model.end(b, "committed")
  model.read(a, "parent")
  model.end(a, "committed")
  const published: Array<OutboxRow> = []
  const relay = ours(published)
  for (let tries = 0; tries < 20 && published.length < 2; tries++) relay(model, randomFrom(tries))
  expect(published.map((row) => row.entity)).toEqual(["child", "parent"])
  expect(judge({ model, published })).toBeNull()
})
