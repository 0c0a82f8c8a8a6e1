/** The live fold over a log in memory that grows, is trimmed, is away and loses its tail at random: it must answer as a replay does. */
import { Effect, Exit, Logger, Scope } from "effect"
import { expect } from "vitest"
import type { MemoryLog } from "#nats/log-memory.ts"
import { memoryLog } from "#nats/log-memory.ts"
import type { Pattern } from "#protocol/grant.ts"
import { normalise } from "#protocol/grant.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { LiveFold } from "./live-fold.ts"
import { makeLiveFold } from "./live-fold.ts"

interface Event {
  readonly seq: number
  readonly id: string
  readonly row: Row | null
}
interface Row {
  readonly principal: string
  readonly scope: string
}

const withFold = async (log: MemoryLog, use: (fold: LiveFold) => Promise<void>): Promise<void> => {
  const scope = Scope.makeUnsafe()
  const fold = await makeLiveFold(log).pipe(Effect.provide(Logger.layer([])), Scope.provide(scope), Effect.runPromise)
  try {
    await use(fold)
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const rowsAt = (events: ReadonlyArray<Event>, seq: number): ReadonlyMap<string, Row> => {
  const rows = new Map<string, Row>()
  for (const event of events) {
    if (event.seq > seq) break
    if (event.row === null) rows.delete(event.id)
    else rows.set(event.id, event.row)
  }
  return rows
}
const allowedAt = (events: ReadonlyArray<Event>, seq: number, user: string): ReadonlyArray<Pattern> =>
  normalise([...rowsAt(events, seq).values()].flatMap((row) => (row.principal === `user:${user}` ? [{ scope: row.scope, entity: null, id: null }] : [])))

const grantBody = (id: string, row: Row): string => JSON.stringify({ id, ...row, entity: null, entity_id: null, level: "VIEW", expires_at: null })

/** Writes one access event, or a change that is none. */
const write = (random: Random, log: MemoryLog, events: Array<Event>): number => {
  if (random.chance(0.5)) return log.append({ scope: "p", entity: "task", id: String(random.int(5)), body: "{}" })
  const id = `g${random.int(6)}`
  const now = rowsAt(events, Number.MAX_SAFE_INTEGER).get(id) ?? null
  const row = now !== null && random.chance(0.5) ? null : { principal: `user:${random.pick(["ada", "bob"])}`, scope: random.pick(["s", "t", "u"]) }
  if (now === null && row === null) return log.append({ scope: null, entity: "_member", id: "m", operation: "DELETE", body: "" })
  const seq = log.append({
    scope: null,
    entity: "_grant",
    id,
    operation: row === null ? "DELETE" : now === null ? "INSERT" : "UPDATE",
    body: row === null ? "" : grantBody(id, row),
    before: now === null ? null : grantBody(id, now),
  })
  events.push({ seq, id, row })
  return seq
}

property("the live fold answers as a replay of the log does, whatever happens to the log", 20, async (random) => {
  const log = memoryLog()
  let events: Array<Event> = []
  let last = 0
  let first = 1
  for (let i = random.int(30); i > 0; i--) last = write(random, log, events)
  if (random.chance(0.5)) log.trimBefore((first = 1 + random.int(last + 1)))
  await withFold(log, async (fold) => {
    for (let round = 0; round < 12; round++) {
      const what = random.next()
      if (what < 0.5) for (let i = random.int(6); i > 0; i--) last = write(random, log, events)
      else if (what < 0.6 && last > first) {
        const old = await fold.reached(last)
        const kept = first + random.int(last - first)
        log.loseAfter(kept)
        events = events.filter((event) => event.seq <= kept)
        last = write(random, log, events)
        expect(await fold.reached(kept, 2_000)).not.toBe(old)
      } else if (what < 0.7) {
        log.setAvailable(false)
        const asked = fold.reached(last, 2_000)
        log.setAvailable(true)
        await asked
      }
      const now = await fold.reached(last, 2_000)
      for (const user of ["ada", "bob"]) {
        const seq = now.horizon + random.int(last - now.horizon + 1)
        expect(now.view(user, last, 0).allowed).toEqual(allowedAt(events, last, user))
        expect(now.heldAt(user, seq, 0)).toEqual(allowedAt(events, seq, user))
        if (now.horizon > 0) expect(now.heldAt(user, now.horizon - 1, 0)).toBeNull()
      }
    }
    expect(fold.reasons()).toEqual([])
    await expect(fold.reached(last + 1, 20)).rejects.toMatchObject({ code: "unavailable" })
  })
})
