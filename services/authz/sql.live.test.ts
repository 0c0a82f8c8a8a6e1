/**
 * One rule, twice: authz.allows over the tables, and the fold over what the relay makes of their outbox. Both are asked the same after any history: now, and as
 * of many sequences, for which transactions are kept open that see the tables as they were then. The edge's way of asking (PatternSet)
 * is held to it as well.
 */
import { MsgHdrsImpl } from "@nats-io/nats-core/internal"
import postgres from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { decodeMessage } from "#nats/decode.ts"
import type { LogMessage } from "#nats/log.ts"
import type { Level } from "#protocol/grant.ts"
import { LEVELS, matches } from "#protocol/grant.ts"
import type { Address } from "#protocol/subject.ts"
import { isSystemEntity } from "#protocol/subject.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import { migratedPostgres } from "#test/support/servers.ts"
import { PatternSet } from "../edge/pattern-set.ts"
import { packer } from "../outbox-relay/pack.ts"
import { NOTHING_SEEN } from "../outbox-relay/snapshot.ts"
import { lookAfter } from "../outbox-relay/window.ts"
import type { Fact } from "./acl-event.ts"
import { aclEvent, isSignOut } from "./acl-event.ts"
import { Fold } from "./fold.ts"

const users = ["ada", "bob", "cyd", "dan", "Éva", "o'neil"]
const strangers = ["nobody", "", "role:all"]
const roles = ["editors", "authors", "staff", "all", "r 5", "board", "guests"]
const scopes = ["p1", "p2", "p3", "", "ä.b"]
const entities = ["task", "note", "_grant", "_member"]
const ids = ["1", "2", "3", ""]
const SNAPSHOTS = 5

let server: TestPostgres
let writer: postgres.Sql
let reader: postgres.Sql
const opened: Array<postgres.Sql> = []
const open = (): postgres.Sql => {
  const sql = postgres(server.url(), { max: 1, onnotice: () => {} })
  opened.push(sql)
  return sql
}
beforeAll(async () => {
  server = await migratedPostgres()
  writer = open()
  reader = open()
  await writer.unsafe(`
    create schema app;
    create table app.task (id text primary key, project text);
    create table app.note (id text primary key);
    select tide.track('app.task', 'task', 'project'), tide.track('app.note', 'note')`)
})
afterAll(async () => {
  await Promise.all(opened.map((sql) => sql.end({ timeout: 1 })))
  await server.stop()
})

// --- the log -------------------------------------------------------------------------------------------------------------

/** What an authz and an edge know that have read the outbox as the relay publishes it. */
class Log {
  readonly fold = new Fold(0)
  /** Rows of the access tables, as they are now. */
  readonly facts = new Map<string, Fact>()
  /** Rows of the tracked tables, by where they are. */
  readonly rows = new Map<string, Address>()
  seq = 0
  #seen = NOTHING_SEEN

  /** Takes what there is to read. */
  async read(): Promise<void> {
    const { window, rows } = await lookAfter(reader, this.#seen)
    const packing = packer((batch) => {
      for (const { subject, headers, body } of batch) {
        const decoded = decodeMessage(++this.seq, subject, 0, MsgHdrsImpl.decode(Buffer.from(`NATS/1.0\r\n${headers}\r\n`)), Buffer.from(body))
        if (typeof decoded === "string") throw new Error(decoded)
        this.#take(decoded)
      }
    })
    for (const row of rows!) packing.add(row)
    packing.end()
    this.#seen = window
  }

  #take(message: LogMessage): void {
    const { address, operation, subject } = message
    if (!isSystemEntity(address.entity)) {
      if (operation === "DELETE") this.rows.delete(subject)
      else this.rows.set(subject, address)
    } else if (address.entity !== "_entity" && !isSignOut(message)) {
      const event = aclEvent(message)
      if (event.problem !== undefined) throw new Error(event.problem)
      this.fold.apply(event)
      if (event.fact === null) this.facts.delete(event.key)
      else this.facts.set(event.key, event.fact)
    }
  }
}
const log = new Log()

// --- the history ---------------------------------------------------------------------------------------------------------

/** Null often: any. */
const any = (random: Random, values: ReadonlyArray<string>): string | null => (random.chance(0.5) ? null : random.pick(values))
const principal = (random: Random): string => (random.chance(0.1) ? "everyone" : random.chance(0.5) ? `user:${random.pick(users)}` : `role:${random.pick(roles)}`)
/** Long past, just now, in a moment, in an hour, never and almost never. */
const expiry = (random: Random): string =>
  random.pick(["now() - interval '1 hour'", "now()", ...Array.from({ length: 4 }, () => `now() + interval '${random.int(2_000_000)} microseconds'`), "now() + interval '1 hour'", "'infinity'", "'-infinity'", "'20000-01-01'", "null"])

/** One statement. What is refused is no change. */
const change = async (outer: postgres.TransactionSql, random: Random): Promise<void> => {
  const who = principal(random)
  const [role, other] = [random.pick(roles), random.pick(roles)]
  const [scope, entity, id] = [any(random, scopes), any(random, entities), any(random, ids)]
  const level = random.pick(LEVELS)
  const task = random.pick(ids)
  const changes: ReadonlyArray<readonly [weight: number, change: (tx: postgres.ISql) => postgres.PendingQuery<Array<postgres.Row>>]> = [
    [14, (tx) => tx`select authz.grant_access(${who}, ${scope}, ${entity}, ${id}, ${level}, ${random.chance(0.2) ? new Date(Date.now() + random.int(3_000)) : null})`],
    [2, (tx) => tx`select authz.revoke_access(${who}, ${scope}, ${entity}, ${id})`],
    [1, (tx) => tx`delete from authz.grants where ctid = any (array(select ctid from authz.grants order by md5(id || ${random.int(1e9)}::text) limit 3))`],
    [2, (tx) => tx`update authz.grants set expires_at = ${tx.unsafe(expiry(random))} where principal = ${who}`],
    [1, (tx) => tx`update authz.grants set level = ${level} where scope is not distinct from ${scope}`],
    [1, (tx) => tx`update authz.grants set scope = ${random.pick(scopes)} where principal = ${who} and entity is not distinct from ${entity} and id = (select min(id) from authz.grants)`],
    [0.3, (tx) => tx`select authz.expire()`],
    [3, (tx) => tx`select authz.add_member(${role}, ${random.pick(users)})`],
    [5, (tx) => tx`select authz.add_member(${role}, ${`role:${other}`})`],
    [2, (tx) => tx`select authz.remove_member(${role}, ${random.chance(0.5) ? random.pick(users) : `role:${other}`})`],
    [0.5, (tx) => tx`delete from authz.members where role = ${role}`],
    [0.5, (tx) => tx`update authz.members set role = ${other} where role = ${role} and member = ${`user:${random.pick(users)}`}`],
    // Not TRUNCATE: the transactions that see the tables as they were would not.
    [0.05, (tx) => tx`delete from authz.members`],
    [4, (tx) => tx`insert into app.task values (${task}, ${any(random, scopes)}) on conflict (id) do update set project = excluded.project`],
    [1, (tx) => tx`delete from app.task where id = ${task}`],
    [1, (tx) => tx`insert into app.note values (${task}) on conflict do nothing`],
  ]
  let left = random.next() * changes.reduce((sum, [weight]) => sum + weight, 0)
  const [, chosen] = changes.find(([weight]) => (left -= weight) < 0) ?? changes[0]!
  await outer.savepoint(async (tx) => void (await chosen(tx))).catch((error: unknown) => {
    if (!(error instanceof postgres.PostgresError)) throw error
  })
}

/** A transaction of some statements; some are given up. */
const transaction = async (random: Random): Promise<void> => {
  const givenUp = new Error("given up")
  await writer
    .begin(async (tx) => {
      for (let i = random.int(4); i >= 0; i--) await change(tx, random)
      if (random.chance(0.1)) throw givenUp
    })
    .catch((error: unknown) => {
      if (error !== givenUp) throw error
    })
}

/** Roles inside roles, five deep and by more ways than one. */
const nest = async (random: Random): Promise<void> => {
  const order = random.shuffle(roles)
  for (let i = 1; i < order.length; i++) await writer`select authz.add_member(${order[i]!}, ${`role:${order[i - 1]!}`})`
  for (let i = 2; i < order.length; i += 2) await writer`select authz.add_member(${order[i]!}, ${`role:${order[i - 2]!}`})`
  await writer`select authz.add_member(${order[0]!}, ${random.pick(users)})`
}

// --- questions -----------------------------------------------------------------------------------------------------------

interface Question {
  readonly who: string
  readonly level: Level
  readonly at: Address
}
/** What Postgres says, between these two milliseconds since 1970. */
interface Answer {
  readonly allowed: boolean
  readonly from: number
  readonly to: number
}

const question = (random: Random, level?: Level): Question => {
  const entity = random.pick([...entities, "else"])
  const scope = isSystemEntity(entity) || entity === "note" ? null : random.pick([null, "other", ...scopes])
  return { who: random.pick([...users, ...users, ...strangers]), level: level ?? random.pick(LEVELS), at: { scope, entity, id: random.pick([...ids, "9"]) } }
}

const ask = async (sql: postgres.ISql, questions: ReadonlyArray<Question>): Promise<ReadonlyArray<Answer>> => sql<Array<Answer>>`
  select extract(epoch from clock_timestamp())::float8 * 1000 - 0.001 as from, authz.allows(who, level, scope, entity, id) as allowed, extract(epoch from clock_timestamp())::float8 * 1000 + 0.001 as to
  from jsonb_to_recordset(${JSON.stringify(questions.map(({ who, level, at }) => ({ who, level, ...at })))}::text::jsonb) as a(who text, level text, scope text, entity text, id text)`

let checks = 0
let changed = 0
let yes = 0
/** Both say the same; where the answer changed while Postgres gave it, it may be either. */
const hold = (what: unknown, { allowed, from, to }: Answer, says: (now: number) => boolean): void => {
  checks += 1
  if (allowed) yes += 1
  const [before, after] = [says(from), says(to)]
  if (before !== after) changed += 1
  else if (before !== allowed) expect({ what: JSON.stringify(what), from, to, allowed: before }).toEqual({ what: JSON.stringify(what), from, to, allowed })
}

/** The rule, written once more, over the rows as they are; with a mistake if named. */
const MISTAKES = ["nothing", "roles inside roles count two deep", "what has expired still counts", "any entity means the log's own", "any scope means a scope", "a scope means none as well", "a level is that level alone", "everyone is nobody"] as const
const naive = (facts: Iterable<Fact>, { who, level, at }: Question, now: number, mistake: (typeof MISTAKES)[number]): boolean => {
  const all = [...facts]
  const principals = new Set([`user:${who}`, ...(mistake === "everyone is nobody" ? [] : ["everyone"])])
  for (let before = 0, deep = 0; before < principals.size && (mistake !== "roles inside roles count two deep" || deep < 2); deep++) {
    before = principals.size
    const inside = all.filter((fact) => fact.kind === "member" && principals.has(fact.member))
    for (const fact of inside) if (fact.kind === "member") principals.add(`role:${fact.role}`)
  }
  return all.some((fact) => {
    if (fact.kind !== "grant" || !principals.has(fact.principal)) return false
    const { scope, entity, id } = fact.pattern
    const rank = LEVELS.indexOf(level)
    return (
      (mistake === "a level is that level alone" ? fact.rank === rank : fact.rank >= rank) &&
      (mistake === "what has expired still counts" || fact.expiresAt === null || fact.expiresAt > now) &&
      (scope === null ? mistake !== "any scope means a scope" || at.scope !== null : scope === at.scope || (mistake === "a scope means none as well" && at.scope === null)) &&
      (entity === null ? mistake === "any entity means the log's own" || !at.entity.startsWith("_") : entity === at.entity) &&
      (id === null || id === at.id)
    )
  })
}

interface Moment {
  readonly seq: number
  /** Sees the tables as they were. */
  readonly sql: postgres.Sql
  readonly rows: ReadonlyArray<Address>
}

const caught = new Set<string>()

/** As of the moment: what may be seen, by every way of asking, and which rows are there to be seen. */
const askAt = async ({ seq, sql, rows }: Moment, random: Random): Promise<void> => {
  const { fold } = log
  const questions = Array.from({ length: 3_000 }, () => question(random, "VIEW"))
  const answers = await ask(sql, questions)
  const views = new Map<string, { readonly expiresAt: number | null; readonly set: PatternSet; readonly view: ReturnType<Fold["view"]> }>()
  for (const [i, { who, at }] of questions.entries()) {
    hold({ seq, who, at }, answers[i]!, (now) => {
      let known = views.get(who)
      if (known === undefined || (known.expiresAt !== null && known.expiresAt <= now)) {
        const view = fold.view(who, seq, now)
        known = { expiresAt: view.expiresAt, set: new PatternSet(view.allowed), view }
        views.set(who, known)
      }
      const seen = known.set.matches(at)
      expect(known.view.allowed.some((pattern) => matches(pattern, at))).toBe(seen)
      const wished = known.set.cut([random.chance(0.5) ? { ...at, scope: null } : { entity: at.entity, scope: at.scope, id: null }], Number.POSITIVE_INFINITY)?.find((pattern) => matches(pattern, at))
      expect(wished !== undefined).toBe(seen)
      return seen
    })
  }
  for (const who of users) {
    const [told] = await sql<[{ from: number; to: number; seen: ReadonlyArray<string> }]>`
      select extract(epoch from clock_timestamp())::float8 * 1000 - 0.001 as from, seen, extract(epoch from clock_timestamp())::float8 * 1000 + 0.001 as to
      from (select array(
        select 'task ' || id from app.task where authz.visible(${who}, project, 'task', id) union all
        select 'note ' || id from app.note where authz.visible(${who}, null, 'note', id) order by 1) as seen offset 0) s`
    const seen = (now: number): ReadonlyArray<string> => {
      const set = new PatternSet(fold.view(who, seq, now).allowed)
      return rows.filter((at) => set.matches(at)).map(({ entity, id }) => `${entity} ${id}`)
    }
    const [before, after] = [seen(told.from), seen(told.to)]
    if (before.length === after.length) expect(new Set(told.seen)).toEqual(new Set(before))
    checks += rows.length
  }
}

/** By the newest rows: what may be done. */
const askNow = async (random: Random): Promise<void> => {
  const questions = Array.from({ length: 4_000 }, () => question(random))
  const answers = await ask(reader, questions)
  for (const [i, { who, level, at }] of questions.entries()) hold({ who, level, at }, answers[i]!, (now) => log.fold.may(who, level, at, now))
  for (const [i, asked] of questions.entries()) {
    if (i % 5 > 0) continue
    const { allowed, from, to } = answers[i]!
    for (const mistake of MISTAKES) {
      const says = naive(log.facts.values(), asked, from, mistake)
      if (says !== allowed && says === naive(log.facts.values(), asked, to, mistake)) caught.add(mistake)
    }
  }
  expect(caught.has("nothing")).toBe(false)
}

describe("the fold and authz.allows", () => {
  property("say the same of any user, level and entity, now and as of any sequence, after any history", 3, async (random) => {
    checks = changed = yes = 0
    await writer`delete from authz.grants`
    await writer`delete from authz.members`
    await nest(random)
    const moments: Array<Moment> = []
    try {
      for (let i = 0; i < SNAPSHOTS; i++) {
        for (let n = 0; n < 30; n++) await transaction(random)
        // The last event before the question gives or takes.
        if (random.chance(0.5)) await writer`select authz.grant_access(${principal(random)}, entity => 'task', level => 'VIEW')`
        else await writer`delete from authz.grants where principal = (select principal from authz.grants order by expires_at is null desc, md5(id || ${random.int(1e9)}::text) limit 1)`
        await log.read()
        const sql = open()
        await sql`begin isolation level repeatable read`
        await sql`select from authz.grants limit 1`
        moments.push({ seq: log.seq, sql, rows: [...log.rows.values()] })
        await askNow(random)
      }
      for (const moment of moments) await askAt(moment, random)
      for (const who of users) {
        const [row] = await reader<[{ all: ReadonlyArray<string> }]>`select authz.principals(${who}) as all`
        expect(new Set(log.fold.principals(who, log.seq))).toEqual(new Set(row.all))
      }
      const [held] = await reader<[{ rows: number }]>`select (select count(*) from authz.grants)::int + (select count(*) from authz.members)::int as rows`
      expect(log.fold.size).toBe(held.rows)
      expect(checks).toBeGreaterThan(100_000 / 3)
      expect(changed).toBeLessThan(checks / 100)
      // Where nobody may anything, or everybody everything, nothing is shown.
      expect(yes).toBeGreaterThan(checks / 50)
      expect(yes).toBeLessThan(checks / 1.2)
    } finally {
      await Promise.all(moments.map(({ sql }) => sql.end({ timeout: 1 })))
    }
  })

  it("would not, if the rule were another one", () => {
    expect([...caught].toSorted()).toEqual(MISTAKES.slice(1).toSorted())
  })
})
