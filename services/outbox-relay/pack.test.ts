import { expect } from "vitest"
import { ALONE_MESSAGES } from "#protocol/limits.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { Batch } from "./pack.ts"
import { boundsFor, packer } from "./pack.ts"
import type { OutboxRow } from "./row.ts"

/** Transactions one after the other, as a window gives them. */
const rowsOf = (random: Random, sizes: ReadonlyArray<number>): ReadonlyArray<OutboxRow> => {
  let id = 0
  return sizes.flatMap((count, i) => {
    const tx = id + count
    return Array.from({ length: count }, (): OutboxRow => ({
      id: ++id, xid: String(i + 1), tx, count, entity: "note", entityId: `n${id}`, scope: null, op: "UPDATE",
      after: "x".repeat(random.int(300)), before: null, at: "2026-01-01T00:00:00.000000Z", user: null, mutation: null, trace: null,
    }))
  })
}

const pack = (rows: ReadonlyArray<OutboxRow>, bounds: { messages: number; bytes: number }, published = 0): ReadonlyArray<Batch> => {
  const batches: Array<Batch> = []
  const packing = packer((batch) => batches.push(batch), published, bounds)
  for (const row of rows) packing.add(row)
  packing.end()
  return batches
}

property("keeps the rows and their order, keeps its bounds, and splits no transaction that fits a batch", 300, (random) => {
  const bounds = { messages: 1 + random.int(20), bytes: 400 + random.int(4_000) }
  const sizes = Array.from({ length: random.int(30) }, () => (random.chance(0.1) ? 1 + random.int(60) : 1 + random.int(5)))
  const rows = rowsOf(random, sizes)
  const batches = pack(rows, bounds)
  expect(batches.flat().map((m) => m.row.id)).toEqual(rows.map((r) => r.id))
  const bytesOf = (messages: Batch) => messages.reduce((sum, m) => sum + m.bytes, 0)
  for (const batch of batches) {
    expect(batch.length).toBeGreaterThan(0)
    expect(batch.length).toBeLessThanOrEqual(bounds.messages)
    expect(batch.length === 1 || bytesOf(batch) <= bounds.bytes).toBe(true)
  }
  for (const xid of new Set(rows.map((r) => r.xid))) {
    const messages = batches.flat().filter((m) => m.row.xid === xid)
    const places = messages.map((m) => /Tide-Tx: (\d+), (\d+)\/(\d+)/.exec(m.headers)!.slice(1).join(" "))
    expect(places).toEqual(messages.map((_, i) => `${xid} ${i + 1} ${messages.length}`))
    const spread = batches.filter((batch) => batch.some((m) => m.row.xid === xid)).length
    if (messages.length <= bounds.messages && bytesOf(messages) <= bounds.bytes) expect(spread).toBe(1)
  }
})

property("fills batches with small transactions", 20, (random) => {
  const batches = pack(rowsOf(random, Array.from({ length: 1_000 }, () => 1)), { messages: 100, bytes: 1e9 })
  expect(batches.map((b) => b.length)).toEqual(Array.from({ length: 10 }, () => 100))
})

property("counts on in a transaction that was published in part", 100, (random) => {
  const rows = rowsOf(random, [10 + random.int(50), 3])
  const published = 1 + random.int(rows[0]!.count - 1)
  const rest = pack(rows.slice(published), { messages: 7, bytes: 1e9 }, published)
  expect(rest.flat().map((m) => /, (\d+\/\d+)/.exec(m.headers)![1])).toEqual(
    rows.slice(published).map((row, i) => (row.xid === "1" ? `${published + i + 1}/${row.count}` : `${i + published - rows[0]!.count + 1}/3`)),
  )
})

property("a few transactions of one row go alone, and no transaction is split for it", 200, (random) => {
  const sizes = Array.from({ length: 1 + random.int(2 * ALONE_MESSAGES) }, () => (random.chance(0.1) ? 1 + random.int(3) : 1))
  const rows = rowsOf(random, sizes)
  const batches = pack(rows, boundsFor(rows))
  expect(batches.flat().map((m) => m.row.id)).toEqual(rows.map((r) => r.id))
  expect(batches.length).toBe(rows.length <= ALONE_MESSAGES && sizes.every((size) => size === 1) ? rows.length : 1)
})
