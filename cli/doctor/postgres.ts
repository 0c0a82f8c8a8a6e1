/** Hop 1 as `doctor` sees it: roles, triggers, partitions, transactions that stay open. */
import { Effect } from "effect"
import { readdir } from "node:fs/promises"
import type { Sql } from "postgres"
import { FUNCTIONS, functionsChecksum } from "#db/migrate.ts"
import { query } from "../connect.ts"
import type { CommandFailed } from "../failure.ts"
import { spell } from "../time.ts"
import type { Finding } from "./finding.ts"
import { atLeast, ok, problem, warning } from "./finding.ts"

const LEAST_VERSION = "14"
/** Seconds after which an open transaction is worth a word: it keeps Postgres from cleaning up, though it stalls no relay. */
const LONG_TRANSACTION_S = 300
const SERVICE_ROLES = ["tide_relay", "tide_command"]

export const postgresFindings = (sql: Sql): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.gen(function* () {
    const [server] = yield* query(() => sql<Array<{ version: string; installed: boolean }>>`
      select split_part(current_setting('server_version'), ' ', 1) as version, to_regclass('tide.outbox') is not null as installed`)
    const version = atLeast(server!.version, LEAST_VERSION)
      ? ok("postgres", `version ${server!.version}`)
      : problem("postgres", `Version ${server!.version} is too old.`, `Use Postgres ${LEAST_VERSION} or later.`)
    const open = yield* longTransactions(sql)
    if (!server!.installed) return [version, problem("schema", "Tideline is not installed in this database.", "Run the migrations: node db/migrate.ts with DATABASE_URL of a superuser or the database's owner."), open]
    return [version, ...(yield* Effect.all([roles(sql), ...[migrations, triggers, partitions, defaultPartition].map((check) => check(sql))])).flat(), open]
  })

/** Of tables the names: db/migrate.ts compares contents whenever it runs. */
const migrations = (sql: Sql): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.gen(function* () {
    const files = yield* Effect.promise(() => readdir(new URL("../../db/migrations/", import.meta.url)))
    const known = files.filter((name) => name.endsWith(".sql"))
    const rows = yield* query(() => sql<Array<{ name: string; checksum: string }>>`select name, checksum from tide.migration where name not like 'demo/%'`)
    const functions = rows.find((row) => row.name === FUNCTIONS)
    const applied = rows.map((row) => row.name).filter((name) => name !== FUNCTIONS)
    const missing = known.filter((name) => !applied.includes(name))
    const newer = applied.filter((name) => !known.includes(name))
    const todo = "node db/migrate.ts, with DATABASE_URL of a superuser or the database's owner."
    if (newer.length > 0) return [problem("migrations", `The database has migrations that this version does not know: ${newer.join(", ")}.`, "A newer Tideline migrated it: run that version or a later one.")]
    if (missing.length > 0) return [problem("migrations", `Not applied: ${missing.join(", ")}.`, todo)]
    if (functions?.checksum !== (yield* functionsChecksum)) return [problem("migrations", "The database's functions are those of another version.", todo)]
    return [ok("migrations", `all ${applied.length} applied, functions of this version`)]
  })

const roles = (sql: Sql): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ name: string; there: boolean; login: boolean }>>`
      select name, rolname is not null as there, coalesce(rolcanlogin, false) as login
        from unnest(${SERVICE_ROLES}::text[]) name left join pg_roles on rolname = name`),
    (rows) => rows.map(({ name, there, login }) =>
      !there ? problem(`role ${name}`, "There is no such role.", `As a superuser: create role ${name} nologin; then run the migrations again.`)
      : !login ? problem(`role ${name}`, "It may not log in.", `alter role ${name} login password '…'; and give its service that password in DATABASE_URL.`)
      : ok(`role ${name}`, "may log in")),
  )

/** tide.track makes either one row trigger or three statement triggers, and one for TRUNCATE; tide.outdated knows what else may have changed. */
const triggers = (sql: Sql): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ entity: string; table_name: string; there: boolean; names: ReadonlyArray<string>; disabled: ReadonlyArray<string>; again: string; what: string | null }>>`
      select t.entity, t.table_name, c.oid is not null as there, o.what,
             'npx tideline track ' || t.table_name || ' --entity ' || t.entity || coalesce(' --scope ' || t.scope_column, '') || coalesce(' --founders ' || t.founders, '') as again,
             coalesce(array_agg(g.tgname::text) filter (where g.tgname is not null and g.tgenabled <> 'D'), '{}') as names,
             coalesce(array_agg(g.tgname::text) filter (where g.tgenabled = 'D'), '{}') as disabled
        from tide.tracked t
        left join tide.outdated() o on o.entity = t.entity
        left join pg_class c on c.oid = t.relation
        left join pg_trigger g on g.tgrelid = t.relation and g.tgname like 'tide\\_%'
       group by t.entity, c.oid, o.what order by t.entity`),
    (rows) => rows.length === 0
      ? [warning("tracked tables", "No table is tracked.", "npx tideline track <schema.table> --entity <code>")]
      : rows.map(({ entity, table_name, there, names, disabled, again, what }) => {
          const check = `tracked ${entity}`
          if (!there) return problem(check, `Its table ${table_name} was dropped.`, `npx tideline untrack ${entity}`)
          if (disabled.length > 0) return problem(check, `Triggers on ${table_name} are disabled (${disabled.join(", ")}): its changes are lost.`, `${again}; then npx tideline backfill ${table_name}`)
          const needed = names.includes("tide_change") ? ["tide_change", "tide_truncate"] : ["tide_insert", "tide_update", "tide_delete", "tide_truncate"]
          const missing = needed.filter((name) => !names.includes(name))
          if (missing.length > 0) return problem(check, `Triggers on ${table_name} are missing (${missing.join(", ")}): its changes are lost.`, `${again}; then npx tideline backfill ${table_name}`)
          return what === null ? ok(check, `${table_name} has its triggers`) : warning(check, `${table_name} is not as it was when it was tracked: ${what}.`, again)
        }),
  )

const partitions = (sql: Sql): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ ahead: number }>>`
      select count(*)::int as ahead from generate_series(1, 3) day
       where to_regclass('tide.outbox_' || to_char((now() at time zone 'UTC')::date + day, 'YYYYMMDD')) is not null`),
    (rows) => [rows[0]!.ahead === 0
      ? warning("outbox partitions", "There is none for tomorrow: its rows will go to the default partition.", "A relay that runs makes them; by hand: select tide.make_partitions();")
      : ok("outbox partitions", `${rows[0]!.ahead} days ahead`)],
  )

const defaultPartition = (sql: Sql): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ used: boolean }>>`select exists (select from only tide.outbox_default) as used`),
    (rows) => [rows[0]!.used
      ? warning("default partition", "It holds rows: on some day no relay made partitions in time.", "Nothing is lost; the relay deletes them when they are old. See that a relay always runs.")
      : ok("default partition", "empty")],
  )

const longTransactions = (sql: Sql): Effect.Effect<Finding, CommandFailed> =>
  Effect.map(
    query(() => sql<Array<{ pid: number; who: string; state: string; seconds: number }>>`
      select pid, coalesce(nullif(application_name, ''), usename, '?') as who, coalesce(state, '?') as state,
             extract(epoch from now() - xact_start)::int as seconds
        from pg_stat_activity
       where datname = current_database() and backend_type = 'client backend' and xact_start < now() - make_interval(secs => ${LONG_TRANSACTION_S})
       order by xact_start limit 5`),
    (rows) => rows.length === 0
      ? ok("open transactions", `none older than ${spell(LONG_TRANSACTION_S * 1000)}`)
      : warning("open transactions", `${rows.map((r) => `pid ${r.pid} (${r.who}, ${r.state}) for ${spell(r.seconds * 1000)}`).join("; ")}.`,
          "They hold back vacuum, and their own changes wait with them. Let their programs commit, or: select pg_terminate_backend(pid);"),
  )
