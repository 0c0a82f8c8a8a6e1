/** What tide.mutate tells somebody of rows that are not theirs to see: what it tells of rows that are not there, in words, in work and in waiting. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type postgres from "postgres"
import type { TestDatabase } from "#test/support/database.ts"
import { openDatabase } from "#test/support/database.ts"
import { until } from "#test/support/until.ts"

const HIDDEN = "00000000-0000-4000-8000-000000000009"
const FREE = "00000000-0000-4000-8000-00000000000f"
const MINE = "00000000-0000-4000-8000-000000000001"

let db: TestDatabase
let command: postgres.Sql
let holder: postgres.Sql
beforeAll(async () => {
  db = await openDatabase()
  command = db.connect("tide_command")
  holder = db.connect()
  await db.sql.unsafe(`
    create schema app;
    create table app.project (id text primary key, name text not null);
    create table app.task (
      id uuid primary key, project_id text not null default 'p2' references app.project, title text not null default '' constraint title_is_short check (length(title) < 50),
      code text unique, parent uuid references app.task, size int not null default 1, share int generated always as (100 / size) stored, span int4range, exclude using gist (span with &&));
    create table app.kind (id int primary key);
    create table app.note (id int primary key, task_id uuid references app.task on delete restrict, kind int not null default 7 references app.kind);
    insert into app.kind values (7);
    insert into app.project values ('p1', 'mine'), ('p2', 'secret plan'), ('p3', 'seen');
    insert into app.task (id, project_id, title, code, span) values ('${MINE}', 'p1', 'one', 'A', null), ('${HIDDEN}', 'p2', repeat('secret', 4), 'H', '[1,5)');
    create function app.cast_secret() returns trigger language plpgsql as $$ begin
      if new.title = 'cast' then new.size := (select title from app.task where id = '${HIDDEN}')::int; end if;
      return new; end $$;
    create trigger cast_secret before insert or update on app.task for each row execute function app.cast_secret();
    select tide.track('app.project', 'project', 'id'), tide.track('app.task', 'task', 'project_id'), tide.track('app.note', 'note'), tide.track('app.kind', 'kind');
    select authz.grant_access('user:mia', scope => 'p1', level => 'OWNER'), authz.grant_access('user:mia', entity => 'note', level => 'CREATE'), authz.grant_access('user:mia', scope => 'p3', level => 'VIEW');`)
})
afterAll(() => db.stop())

interface Wish {
  readonly entityCode?: string
  readonly entityId?: string
  readonly op?: string
  readonly data?: Record<string, unknown>
  readonly base?: Record<string, unknown>
}
/** The answer's own text. A wait for any lock fails. */
const answer = async (wish: Wish, user = "mia"): Promise<string> => {
  const mutation = JSON.stringify({ id: "same", entityCode: "task", entityId: HIDDEN, op: "update", ...wish })
  return command.begin(async (tx) => {
    await tx`set local lock_timeout = '100ms'`
    const [row] = await tx<[{ answer: string }]>`select tide.mutate(${mutation}::text::jsonb, ${user})::text as answer`
    // What is asked twice must not be a repeat.
    await tx`rollback`
    return row.answer
  })
}
const DENIED = '{"id": "same", "status": "denied", "message": "no such row, or not allowed"}'
const invalid = (message: string): string => `{"id": "same", "status": "invalid", "message": "${message}"}`

/** Runs `check` while another connection has done `statement` and not ended. */
const during = (statement: string, check: () => Promise<void>): Promise<unknown> =>
  holder.begin(async (tx) => {
    await tx.unsafe(statement)
    await check()
    await tx`rollback`
  })

/** What a mutation cost: calls of each function, scans of each table, and whether anything was written or a row locked. */
const work = async (wish: Wish): Promise<unknown> => {
  const mutation = JSON.stringify({ id: "same", entityCode: "task", entityId: HIDDEN, op: "update", ...wish })
  // A session of its own, for its counts are told at leisure.
  return db.connect().begin(async (tx) => {
    await tx`set local track_functions = 'all'`
    await tx`select tide.mutate(${mutation}::text::jsonb, 'mia')`
    const functions = await tx`select schemaname || '.' || funcname as name, calls::int from pg_stat_xact_user_functions order by 1`
    const tables = await tx`select relname, seq_scan::int, idx_scan::int from pg_stat_xact_user_tables where schemaname in ('app', 'authz', 'tide') and seq_scan + coalesce(idx_scan, 0) > 0 order by 1`
    const [wrote] = await tx`select pg_current_xact_id_if_assigned() is not null as wrote`
    await tx`rollback`
    return { functions: [...functions], tables: [...tables], ...wrote }
  })
}

const OPEN_WORK = {
  "has it locked": `select from app.task where id = '${HIDDEN}' for update`,
  "is changing it": `update app.task set title = 'changing' where id = '${HIDDEN}'`,
  "is deleting it": `delete from app.task where id = '${HIDDEN}'`,
}

describe("a hidden row", () => {
  it.each<[string, Wish]>([
    ["an update", { data: { title: "x" } }],
    ["an update with the right base", { base: { title: "secretsecretsecretsecret", code: "H" }, data: { title: "x" } }],
    ["an update of columns that are not there", { data: { nonsense: 1 } }],
    ["an update with values that do not fit", { data: { size: "many" } }],
    ["an update that changes nothing", { data: {} }],
    ["a move to where one may create", { data: { project_id: "p1" } }],
    ["a deletion", { op: "delete" }],
    ["a deletion of what others refer to", { entityCode: "project", entityId: "p2", op: "delete" }],
  ])("is answered as one that is not there: %s", async (_, wish) => {
    const missing = { ...wish, entityId: wish.entityCode === "project" ? "p9" : FREE }
    expect(await answer(wish)).toBe(DENIED)
    expect(await answer(missing)).toBe(DENIED)
    const cost = await work(wish)
    expect(cost).toEqual(await work(missing))
    expect(cost).toMatchObject({ wrote: false })
  })

  it.each(Object.entries(OPEN_WORK))("lets nobody wait while somebody %s", async (_, statement) => {
    await during(statement, async () => {
      for (const wish of [{ data: { title: "x" } }, { op: "delete" }, { data: { project_id: "p1" } }]) expect(await answer(wish)).toBe(DENIED)
      expect(await answer({ op: "create", data: { project_id: "p1" } })).toBe(DENIED)
    })
  })

  it("is not locked by who may not see it", async () => {
    await command.begin(async (tx) => {
      const mutation = JSON.stringify({ id: "same", entityCode: "task", entityId: HIDDEN, op: "delete" })
      await tx`select tide.mutate(${mutation}::text::jsonb, 'mia')`
      expect(await db.sql`select id from app.task where id = ${HIDDEN} for update nowait`).toHaveLength(1)
    })
  })

  it("that became hidden while one waited for it is not shown", async () => {
    const mover = db.connect()
    const moved = Promise.withResolvers<void>()
    const end = Promise.withResolvers<void>()
    const moving = mover.begin(async (tx) => {
      await tx`update app.task set project_id = 'p2', title = 'out of sight' where id = ${MINE}`
      moved.resolve()
      await end.promise
    })
    await moved.promise
    const mutation = JSON.stringify({ id: "same", entityCode: "task", entityId: MINE, op: "update", base: { title: "wrong" }, data: { title: "x" } })
    const waiting = command.begin(async (tx) => {
      const [row] = await tx<[{ answer: string }]>`select tide.mutate(${mutation}::text::jsonb, 'mia')::text as answer`
      return row.answer
    })
    await blocked()
    end.resolve()
    await moving
    expect(await waiting).toBe(DENIED)
    await db.sql`update app.task set project_id = 'p1', title = 'one' where id = ${MINE}`
  })
})

describe("a creation", () => {
  it("under a key that a hidden row has is denied in the words of one that is not allowed, and shows nothing", async () => {
    expect(await answer({ op: "create", data: { project_id: "p1" } })).toBe(DENIED)
    expect(await answer({ op: "create", data: { project_id: "p2" } })).toBe(DENIED)
    expect(await answer({ op: "create", entityId: MINE, data: { project_id: "p1" } })).toContain('"status": "conflict"')
  })

  it("by somebody who may not create there answers the same, whatever is there and whatever else is wrong with it", async () => {
    const wishes = [HIDDEN, FREE].flatMap((entityId) =>
      [{ code: "H" }, { code: "free" }, { parent: HIDDEN }, { parent: FREE.replace("f", "e") }, { span: "[2,3)" }, { title: "cast" }].map((data): Wish => ({ op: "create", entityId, data })),
    )
    for (const wish of wishes) {
      // Where it would go is said, or left to the default.
      expect(await answer({ ...wish, data: { ...wish.data, project_id: "p2" } })).toBe(DENIED)
      const { parent } = wish.data!
      expect(await answer(wish)).toBe(parent === undefined || parent === wish.entityId ? DENIED : invalid("parent refers to a row that does not exist"))
    }
  })
})

describe("a reference", () => {
  it.each<[string, Wish, Wish, string]>([
    ["of a new row", { op: "create", entityId: FREE, data: { project_id: "p1", parent: HIDDEN } }, { op: "create", entityId: FREE, data: { project_id: "p1", parent: FREE.replace("f", "e") } }, "parent"],
    ["of a changed row", { entityId: MINE, data: { parent: HIDDEN } }, { entityId: MINE, data: { parent: FREE } }, "parent"],
    ["from another table", { entityCode: "note", entityId: "1", op: "create", data: { task_id: HIDDEN } }, { entityCode: "note", entityId: "1", op: "create", data: { task_id: FREE } }, "task_id"],
    ["written otherwise", { entityId: MINE, data: { parent: `{${HIDDEN.toUpperCase()}}` } }, { entityId: MINE, data: { parent: FREE } }, "parent"],
  ])("%s to a hidden row is one to nothing, in words, in work, and for whom it waits", async (_, hidden, missing, column) => {
    const refused = invalid(`${column} refers to a row that does not exist`)
    expect(await answer(hidden)).toBe(refused)
    expect(await answer(missing)).toBe(refused)
    expect(await work(hidden)).toEqual(await work(missing))
    for (const statement of Object.values(OPEN_WORK)) await during(statement, async () => expect(await answer(hidden)).toBe(refused))
  })

  it("to what one may see, to nothing, to itself, and one that was there before, may stand", async () => {
    await db.sql`update app.task set parent = ${HIDDEN} where id = ${MINE}`
    for (const wish of [
      { entityId: MINE, data: { parent: MINE } }, { entityId: MINE, data: { parent: null } }, { entityId: MINE, data: { parent: HIDDEN, title: "y" } },
      { op: "create", entityId: FREE, data: { project_id: "p1", parent: FREE } }, { op: "create", entityId: FREE, data: { project_id: "p1", parent: MINE } },
    ]) expect(await answer(wish)).toBe('{"id": "same", "status": "applied"}')
    await db.sql`update app.task set parent = null where id = ${MINE}`
  })

  it("that a default makes is the application's, whoever may see where it leads", async () => {
    expect(await answer({ entityCode: "note", entityId: "1", op: "create", data: { task_id: MINE } })).toBe('{"id": "same", "status": "applied"}')
    expect(await answer({ entityCode: "note", entityId: "1", op: "create", data: { task_id: MINE, kind: 7 } })).toBe(invalid("kind refers to a row that does not exist"))
  })
})

describe("a refusal", () => {
  it.each<[string, Wish, string]>([
    ["of a value that a hidden row has", { entityId: MINE, data: { code: "H" } }, "code must have another value"],
    ["by an exclusion", { entityId: MINE, data: { span: "[2,3)" } }, "the values break the rule task_span_excl"],
    ["by a rule", { entityId: MINE, data: { title: "x".repeat(60) } }, "the values break the rule title_is_short"],
    ["by a computed column", { entityId: MINE, data: { size: 0 } }, "the values do not go together (SQLSTATE 22012)"],
    ["by a trigger that fell over the value of a hidden row", { entityId: MINE, data: { title: "cast" } }, "the values do not go together (SQLSTATE 22P02)"],
  ])("%s speaks of the row's own columns and rules", async (_, wish, message) => {
    expect(await answer(wish)).toBe(invalid(message))
  })

  it("of a deletion does not say that a hidden row is in the way", async () => {
    await db.sql`insert into app.note (id, task_id) values (1, ${MINE})`
    await db.sql`select authz.revoke_access('user:mia', entity => 'note')`
    expect(await answer({ entityId: MINE, op: "delete" })).toBe(invalid("the row is in use"))
    await db.sql`delete from app.note`
    await db.sql`select authz.grant_access('user:mia', entity => 'note', level => 'CREATE')`
  })
})

/** Resolves when a session of ours waits for a lock. */
const blocked = (): Promise<unknown> =>
  until(async () => (await db.sql`select from pg_stat_activity where usename = 'tide_command' and wait_event_type = 'Lock'`).length > 0, { what: "the mutation waits" })
