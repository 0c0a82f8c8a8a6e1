/**
 * The order argument of window.ts on a real Postgres: sessions whose statements interleave at random (and wait for each other's locks), windows
 * taken between any two of them by the very queries of the relay, which loses all but its cursor now and then. What came first is known from
 * the rows themselves: each change counts its entity's versions, and notes a version of another entity that its transaction had read.
 */
import postgres from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { Sql } from "#db/postgres.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import { migratedPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"
import type { RelayCursor } from "./cursor.ts"
import { advance, beginning, windowDone } from "./cursor.ts"
import type { OutboxRow } from "./row.ts"
import { lookAfter, streamWindow } from "./window.ts"

let pg: TestPostgres
let sql: Sql
let reader: Sql
const SESSIONS = 6
let sessions: ReadonlyArray<{ readonly db: Sql; readonly pid: number }>

beforeAll(async () => {
  pg = await migratedPostgres()
  const admin = postgres(pg.url(), { max: 1 })
  await admin`alter system set max_prepared_transactions = 20`
  await admin`alter system set deadlock_timeout = '20ms'`
  await admin.end()
  await pg.restart()
  sql = postgres(pg.url(), { max: 1, onnotice: () => {} })
  reader = postgres(pg.url("tide_relay"), { max: 1, onnotice: () => {} })
  // A transaction that notifies cannot be prepared: the relay counts as awake.
  await sql`select pg_advisory_lock(tide.wake_key())`
  await sql`create table item (id text primary key, v int not null, saw text)`
  await sql`create table part (id text primary key, v int not null, saw text) partition by hash (id)`
  await sql`create table part_0 partition of part for values with (modulus 1, remainder 0)`
  await sql`select tide.track('item', entity => 'item')`
  await sql`select tide.track('part', entity => 'part')`
  sessions = await Promise.all(Array.from({ length: SESSIONS }, async () => {
    const db = postgres(pg.url(), { max: 1, onnotice: () => {} })
    return { db, pid: Number((await db`select pg_backend_pid() as pid`)[0]!["pid"]) }
  }))
}, 60_000)

afterAll(async () => {
  await Promise.all([sql, reader, ...sessions.map(({ db }) => db)].map((db) => db.end({ timeout: 1 })))
  await pg.stop()
})

const ENTITIES = ["item a", "item b", "item c", "part a", "part b"]
const split = (entity: string): readonly [table: string, id: string] => entity.split(" ") as [string, string]

interface Session {
  readonly db: Sql
  readonly pid: number
  open: boolean
  busy: boolean
  /** A version of another entity, as this transaction read it. */
  saw: string | null
  savepoints: number
  readonly wrote: Set<string>
}

/** Runs the statement until it is done or waits for a lock; an error ends the transaction, as an application would. */
const run = async (session: Session, statement: string): Promise<void> => {
  session.busy = true
  let done = false
  void session.db.unsafe(statement)
    .catch(() => {
      session.open = false
      return session.db.unsafe("rollback")
    })
    .catch(() => {})
    .finally(() => {
      session.busy = false
      done = true
    })
  await until(async () => done || (await sql`select from pg_locks where pid = ${session.pid} and not granted`).length > 0, { what: "a statement ends or waits", every: 0 })
}

/** Publishes a random part, and forgets everything but the cursor. */
const relayOnce = async (random: Random, stream: Array<OutboxRow>, start: RelayCursor): Promise<RelayCursor> => {
  let cursor = start
  for (let windows = 1 + random.int(2); windows > 0; windows--) {
    if (cursor.window === null) {
      const { window, rows } = await lookAfter(reader, cursor.last)
      const part = rows!.slice(0, random.chance(0.4) ? random.int(rows!.length + 1) : rows!.length)
      for (const row of part) cursor = advance(cursor, window, row.tx, row.id)
      stream.push(...part)
      // With nothing published there is nothing that a cursor could ride on.
      if (part.length === rows!.length) cursor = windowDone(cursor, window)
      continue
    }
    const { window } = cursor
    let left = random.chance(0.3) ? random.int(10) : Infinity
    class Killed extends Error {}
    try {
      await streamWindow(reader, { ...cursor, window }, (rows, published) => {
        const whole = stream.filter((row) => row.xid === rows[0]!.xid).length
        expect(published).toBe(whole)
        for (const row of rows) {
          if (left-- <= 0) throw new Killed()
          stream.push(row)
          cursor = advance(cursor, window, row.tx, row.id)
        }
        return Promise.resolve(true)
      })
      cursor = windowDone(cursor, window)
    } catch (cause) {
      if (!(cause instanceof Killed)) throw cause
    }
  }
  return cursor
}

const judge = async (stream: ReadonlyArray<OutboxRow>, from: number): Promise<void> => {
  const rows = await sql<Array<{ id: string }>>`select id from tide.outbox where id > ${from} order by id`
  expect(stream.map((row) => row.id).toSorted((a, b) => a - b)).toEqual(rows.map((row) => Number(row.id)))
  const told = new Map<string, number>()
  for (const [i, row] of stream.entries()) {
    const { v, saw } = JSON.parse(row.after!) as { v: number; saw: string | null }
    const entity = `${row.entity} ${row.entityId}`
    if (v > 1) expect(told.get(`${entity} ${v - 1}`), `${entity} ${v} is told before its last version`).toBeDefined()
    if (saw !== null) expect(told.get(saw), `${entity} ${v} is told before ${saw}, which it had seen`).toBeDefined()
    told.set(`${entity} ${v}`, i)
  }
  const turns = stream.filter((row, i) => i === 0 || row.xid !== stream[i - 1]!.xid)
  expect(turns.length, "transactions are whole").toBe(new Set(stream.map((row) => row.xid)).size)
}

property("holds for the relay's queries, whatever interleaves", 12, async (random) => {
  await sql`truncate part`
  await sql`truncate item`
  await sql`insert into item select unnest('{a,b,c}'::text[]), 0, null`
  await sql`insert into part select unnest('{a,b}'::text[]), 0, null`
  const before = (await sql<[{ window: string; id: number }]>`select pg_current_snapshot()::text as window, (select max(id) from tide.outbox)::float8 as id`)[0]
  let cursor = windowDone(beginning("1", "s"), before.window)
  const stream: Array<OutboxRow> = []
  const all = sessions.map(({ db, pid }): Session => ({ db, pid, open: false, busy: false, saw: null, savepoints: 0, wrote: new Set() }))
  const prepared = new Set<string>()
  const endPrepared = async (gid: string): Promise<void> => {
    prepared.delete(gid)
    await sql.unsafe(`${random.chance(0.7) ? "commit" : "rollback"} prepared '${gid}'`)
  }
  let names = 0
  const write = async (session: Session): Promise<void> => {
    const [table, id] = split(random.pick(ENTITIES))
    const ids = random.chance(0.3) ? ENTITIES.map(split).filter((one) => one[0] === table).map((one) => one[1]) : [id]
    for (const one of ids) session.wrote.add(`${table} ${one}`)
    const saw = session.saw === null ? "null" : `'${session.saw}'`
    await run(session, `update ${table} set v = v + 1, saw = ${saw} where id = any ('{${ids.join(",")}}')`)
  }
  const read = async (session: Session): Promise<void> => {
    const entity = random.pick(ENTITIES.filter((one) => !session.wrote.has(one)).concat("none none"))
    const [table, id] = split(entity)
    if (table === "none") return
    const rows = await session.db.unsafe<Array<{ v: number }>>(`select v from ${table} where id = '${id}'`).catch(() => [])
    if (rows.length === 1 && rows[0]!.v > 0) session.saw = `${entity} ${rows[0]!.v}`
  }
  for (let steps = 250; steps > 0; steps--) {
    const free = all.filter(({ busy }) => !busy)
    const dice = random.int(20)
    if (free.length === 0 || dice < 3) {
      cursor = await relayOnce(random, stream, cursor)
      // All wait for a prepared transaction, or for a deadlock to be found.
      if (free.length === 0) for (const gid of prepared) await endPrepared(gid)
      continue
    }
    const session = random.pick(free)
    if (!session.open) {
      await session.db.unsafe(`begin isolation level ${random.pick(["read committed", "read committed", "repeatable read", "serializable"])}`)
      Object.assign(session, { open: true, saw: null, savepoints: 0 })
      session.wrote.clear()
    } else if (dice < 10) await write(session)
    else if (dice < 13) await read(session)
    else if (dice === 13) await run(session, `savepoint s${session.savepoints++}`)
    else if (dice === 14 && session.savepoints > 0) await run(session, `rollback to s${--session.savepoints}`)
    else if (dice === 15) {
      const gid = `g${names++}`
      await run(session, `prepare transaction '${gid}'`)
      if (session.open) prepared.add(gid)
      session.open = false
    } else if (dice === 16 && prepared.size > 0) await endPrepared(random.pick([...prepared]))
    else {
      await run(session, random.chance(0.85) ? "commit" : "rollback")
      session.open = false
    }
  }
  for (const gid of prepared) await endPrepared(gid)
  await until(async () => {
    for (const session of all) {
      if (session.busy || !session.open) continue
      await run(session, "commit")
      session.open = false
    }
    return all.every(({ busy, open }) => !busy && !open)
  }, { what: "all transactions end" })
  const wanted = Number((await sql`select count(*) as n from tide.outbox where id > ${before.id}`)[0]!["n"])
  for (let tries = 0; tries < 50 && stream.length < wanted; tries++) cursor = await relayOnce(random, stream, cursor)
  await judge(stream, before.id)
})

it.each(["trade", "trades"])("holds for a key that is checked at the end: who gives it away is told before who takes it (%s)", async (table) => {
  await sql`create table ${sql(table)} (id int primary key deferrable initially deferred, v int) ${table === "trades" ? sql`partition by range (id)` : sql``}`
  if (table === "trades") await sql`create table trades_1 partition of trades default`
  await sql`select tide.track(${table}, entity => ${table})`
  await sql`insert into ${sql(table)} values (1, 0)`
  const [giver, taker] = sessions as [(typeof sessions)[number], (typeof sessions)[number]]
  const { window } = (await sql<[{ window: string }]>`select pg_current_snapshot()::text as window`)[0]
  await giver.db`begin`
  await giver.db`delete from ${sql(table)} where id = 1`
  await taker.db`begin`
  // The index lets it in, for the other may yet give the key away.
  const taken = taker.db`insert into ${sql(table)} values (1, 2)`.execute()
  const waits = async () => (await sql`select from pg_stat_activity where pid = ${taker.pid} and (state <> 'active' or wait_event_type = 'Lock') and query like 'insert%'`).length > 0
  await until(waits, { what: "it is in, or waits" })
  await giver.db`insert into ${sql(table)} values (7, 0)`
  await giver.db`commit`
  await taken
  await taker.db`commit`
  const { rows } = await lookAfter(reader, window)
  expect(rows!.filter((row) => row.entityId === "1").map((row) => `${row.op} ${row.after ?? ""}`)).toEqual(["DELETE ", `INSERT {"id":1,"v":2}`])
})
