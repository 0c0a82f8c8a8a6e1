/** Migrations: once, from any number of processes, and never over something they do not know. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import postgres from "postgres"
import { migrate } from "./migrate.ts"
import { connect } from "./postgres.ts"
import { until } from "#test/support/until.ts"
import { startPostgres } from "#test/support/servers.ts"
import type { TestPostgres } from "#test/support/servers.ts"

let server: TestPostgres
let root: postgres.Sql
beforeAll(async () => {
  server = await startPostgres()
  root = postgres(server.url(), { max: 1, onnotice: () => undefined })
})
afterAll(async () => {
  await root.end()
  await server.stop()
})

let databases = 0
const database = async (options = ""): Promise<string> => {
  const name = `m${++databases}`
  await root.unsafe(`create database ${name} ${options}`)
  const url = new URL(server.url())
  url.pathname = `/${name}`
  return url.href
}

const run = promisify(execFile)
const main = (url: string | undefined, demo = "") =>
  run(process.execPath, [new URL("migrate.ts", import.meta.url).pathname], { env: { ...process.env, DATABASE_URL: url, TIDELINE_DEMO: demo } })

describe("migrate", () => {
  it("applies everything once, from four processes at once", async () => {
    const url = await database()
    const printed = (await Promise.all([1, 2, 3, 4].map(() => main(url, "1")))).map(({ stdout }) => stdout)
    expect(printed.filter((text) => text === "up to date\n")).toHaveLength(3)
    expect(printed.find((text) => text !== "up to date\n")).toMatch(/^applied 0001_outbox.sql\n[^]*applied demo\/0001_workspace.sql\n/)
    expect(await Effect.runPromise(migrate(url, { demo: true }))).toEqual({ applied: [] })
    const sql = postgres(url, { max: 1 })
    expect(await sql`select count(*)::int as tasks from app.task`).toEqual([{ tasks: 60 }])
    await sql.end()
  })

  it("leaves the demo out unless it is wanted, and adds it later", async () => {
    const url = await database()
    const first = await Effect.runPromise(migrate(url))
    expect(first.applied.some((name) => name.startsWith("demo/"))).toBe(false)
    const second = await Effect.runPromise(migrate(url, { demo: true }))
    expect(second.applied.every((name) => name.startsWith("demo/"))).toBe(true)
    expect(await Effect.runPromise(migrate(url))).toEqual({ applied: [] })
  })

  it("refuses a database whose migrations are not these", async () => {
    const url = await database()
    await Effect.runPromise(migrate(url))
    const sql = postgres(url, { max: 1 })
    await sql`update tide.migration set checksum = 'x' where name = '0001_outbox.sql'`
    expect(await Effect.runPromise(Effect.flip(migrate(url)))).toMatchObject({ _tag: "MigrationError", message: expect.stringContaining("0001_outbox.sql was applied to this database with other contents") })
    await sql`update tide.migration set name = '9999_later.sql' where name = '0001_outbox.sql'`
    expect(await Effect.runPromise(Effect.flip(migrate(url)))).toMatchObject({ message: expect.stringContaining("9999_later.sql"), hint: expect.stringContaining("newer") })
    await sql.end()
  })

  it("applies functions anew when they have changed, and gives tracked tables the new triggers", async () => {
    const url = await database()
    await Effect.runPromise(migrate(url))
    const sql = postgres(url, { max: 1, onnotice: () => undefined })
    await sql.unsafe(`
      create table public.item (id int primary key);
      create table public.dropped (id int primary key);
      select tide.track('public.item', entity => 'item'), tide.track('public.dropped', entity => 'dropped');
      drop table public.dropped;
      -- As an older version might have left it.
      create or replace function tide.capture_item() returns trigger language plpgsql as 'begin return null; end';
      create or replace function tide.wake_key() returns bigint language sql as 'select 0::bigint';
      update tide.migration set checksum = 'older' where name = 'functions'`)
    expect(await Effect.runPromise(migrate(url))).toEqual({ applied: ["functions"] })
    expect(await sql`select tide.wake_key() <> 0 as new`).toEqual([{ new: true }])
    await sql`insert into item values (1)`
    expect(await sql`select op, entity_id from tide.outbox where entity = 'item'`).toEqual([{ op: "INSERT", entity_id: "1" }])
    expect(await sql`select entity, what from tide.outdated()`).toEqual([{ entity: "dropped", what: "the table was dropped" }])
    expect(await Effect.runPromise(migrate(url))).toEqual({ applied: [] })
    await sql.end()
  })

  it("refuses an encoding that cannot hold any text", async () => {
    const url = await database("encoding 'SQL_ASCII' template template0")
    expect(await Effect.runPromise(Effect.flip(migrate(url)))).toMatchObject({ message: expect.stringContaining("SQL_ASCII"), hint: expect.stringContaining("UTF8") })
  })

  it("changes nothing where one of the files fails, and names the line", async () => {
    const url = await database()
    const sql = postgres(url, { max: 1, onnotice: () => undefined })
    await sql`create schema tide`
    await sql`create table tide.tracked (mine int)`
    expect(await Effect.runPromise(Effect.flip(migrate(url)))).toMatchObject({ message: expect.stringMatching(/^0003_tracked.sql.*: relation "tracked" already exists/) })
    expect(await sql`select to_regclass('tide.outbox') as outbox, to_regclass('tide.migration') as ledger`).toEqual([{ outbox: null, ledger: null }])
    await sql.end()
  })

  it("as a program says what is wrong and exits with 1", async () => {
    await expect(main("")).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("DATABASE_URL is not set") })
    await expect(main("postgres://127.0.0.1:1/x")).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("cannot connect to Postgres at 127.0.0.1:1/x") })
  })
})

describe("connect", () => {
  const failure = (url: string) => Effect.runPromise(Effect.flip(Effect.scoped(connect({ url, name: "test" }))))
  it("says why it cannot, and never the password", async () => {
    const wrong = new URL(server.url())
    wrong.password = "s3cret"
    expect(await failure(wrong.href)).toMatchObject({ _tag: "CannotConnect", hint: expect.stringContaining("password") })
    expect(JSON.stringify(await failure(wrong.href))).not.toContain("s3cret")
    const nowhere = new URL(server.url())
    nowhere.pathname = "/nothing"
    expect(await failure(nowhere.href)).toMatchObject({ hint: expect.stringContaining("does not exist") })
    expect(await failure("postgres://127.0.0.1:1/x")).toMatchObject({ hint: expect.stringContaining("Nothing listens") })
    expect(await failure("http://127.0.0.1/x")).toMatchObject({ hint: expect.stringContaining("postgres://") })
  })

  it("shows who connects and leaves nothing behind", async () => {
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const sql = yield* connect({ url: server.url(), name: "a test", max: 2 })
      const [row] = yield* Effect.promise(() => sql`select application_name, 9007199254740993::int8 as big from pg_stat_activity where pid = pg_backend_pid()`)
      expect(row).toEqual({ application_name: "a test", big: "9007199254740993" })
    })))
    await until(async () => (await root`select from pg_stat_activity where application_name = 'a test'`).length === 0, { what: "the connections' end" })
  })
})
