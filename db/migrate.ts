/**
 * Brings a database to the schema this version needs: db/migrations/*.sql, and db/demo/*.sql where the demo is wanted, each applied
 * once, in the order of their names. All that is missing goes in one transaction under an advisory lock, so any number of
 * processes may start at once and none sees half a schema. What was applied is never edited: its checksum is compared.
 *
 *     DATABASE_URL=… [TIDELINE_DEMO=1] node db/migrate.ts
 */
import { createHash } from "node:crypto"
import { readFile, readdir } from "node:fs/promises"
import { Effect, Schema } from "effect"
import type postgres from "postgres"
import { CannotConnect, connect } from "./postgres.ts"

/** The database and the files do not agree, or a file failed; nothing was changed. */
export class MigrationError extends Schema.TaggedError<MigrationError>()("MigrationError", {
  message: Schema.String,
  hint: Schema.String,
}) {}

/** What a migration did: the names of the files applied now; none where the database was up to date. */
export interface Migrated {
  readonly applied: ReadonlyArray<string>
}

interface Migration {
  /** `0001_outbox.sql`, or `demo/0001_workspace.sql`. */
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

/** Any process that migrates takes it. */
const LOCK_KEY = 7_419_003

export const migrate = (url: string, options: { readonly demo?: boolean } = {}): Effect.Effect<Migrated, CannotConnect | MigrationError> =>
  Effect.gen(function* () {
    const wanted = [...(yield* read("migrations", "")), ...(options.demo === true ? yield* read("demo", "demo/") : [])]
    const sql = yield* connect({ url, name: "tideline migrate" })
    return yield* Effect.tryPromise({
      try: () => sql.begin((tx) => applyMissing(tx, wanted)),
      catch: (cause) =>
        cause instanceof MigrationError ? cause : new MigrationError({ message: String(cause), hint: "Nothing was changed." }),
    })
  }).pipe(Effect.scoped)

const read = (folder: string, prefix: string): Effect.Effect<ReadonlyArray<Migration>> =>
  Effect.promise(async () => {
    const directory = new URL(`${folder}/`, import.meta.url)
    const names = (await readdir(directory)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort()
    return Promise.all(
      names.map(async (name) => {
        const sql = (await readFile(new URL(name, directory), "utf8")).replaceAll("\r\n", "\n")
        return { name: prefix + name, sql, checksum: createHash("sha256").update(sql).digest("hex") }
      }),
    )
  })

const applyMissing = async (tx: postgres.TransactionSql, wanted: ReadonlyArray<Migration>): Promise<Migrated> => {
  await tx`select pg_advisory_xact_lock(${LOCK_KEY})`
  await requireServer(tx)
  await tx`create schema if not exists tide`
  await tx`create table if not exists tide.migration (
    name text primary key, checksum text not null, applied_at timestamptz not null default now())`
  const rows = await tx<Array<{ name: string; checksum: string }>>`select name, checksum from tide.migration`
  const held = new Map(rows.map((row) => [row.name, row.checksum]))
  refuseUnknown(held, wanted)
  const applied: Array<string> = []
  for (const migration of wanted) {
    const checksum = held.get(migration.name)
    if (checksum === migration.checksum) continue
    if (checksum !== undefined) {
      throw new MigrationError({
        message: `migration ${migration.name} was applied to this database with other contents`,
        hint: "An applied migration must not be edited: restore the file and put the change into a new one.",
      })
    }
    await apply(tx, migration)
    applied.push(migration.name)
  }
  return { applied }
}

const requireServer = async (tx: postgres.TransactionSql): Promise<void> => {
  const [server] = await tx<Array<{ version: number; encoding: string }>>`
    select current_setting('server_version_num')::int as version, current_setting('server_encoding') as encoding`
  if (server!.version < 140_000) {
    throw new MigrationError({ message: `Postgres ${Math.floor(server!.version / 10_000)} is too old`, hint: "Tideline needs Postgres 14 or later." })
  }
  if (server!.encoding !== "UTF8") {
    throw new MigrationError({ message: `the database's encoding is ${server!.encoding}`, hint: "Tideline needs UTF8: create database … encoding 'UTF8' template template0." })
  }
}

const refuseUnknown = (held: ReadonlyMap<string, string>, wanted: ReadonlyArray<Migration>): void => {
  const known = new Set(wanted.map((migration) => migration.name))
  const newer = [...held.keys()].filter((name) => !name.startsWith("demo/") && !known.has(name))
  if (newer.length > 0) {
    throw new MigrationError({
      message: `the database has migrations this version does not know: ${newer.join(", ")}`,
      hint: "A newer Tideline migrated it; run that version or a later one.",
    })
  }
}

const apply = async (tx: postgres.TransactionSql, migration: Migration): Promise<void> => {
  try {
    await tx.unsafe(migration.sql)
    await tx`insert into tide.migration (name, checksum) values (${migration.name}, ${migration.checksum})`
  } catch (cause) {
    const { message, hint, position } = cause as { message: string; hint?: string; position?: string }
    const line = position === undefined ? "" : `, line ${migration.sql.slice(0, Number(position)).split("\n").length}`
    throw new MigrationError({ message: `migration ${migration.name}${line}: ${message}`, hint: hint ?? "Nothing was changed." })
  }
}

if (import.meta.main) {
  const url = process.env["DATABASE_URL"]
  const report = (error: { message: string; hint: string }) => {
    process.stderr.write(`${error.message}\n${error.hint}\n`)
    process.exitCode = 1
  }
  if (url === undefined || url === "") {
    report({ message: "DATABASE_URL is not set", hint: "It should be postgres://user:password@host:5432/database." })
  } else {
    const run = migrate(url, { demo: process.env["TIDELINE_DEMO"] === "1" }).pipe(
      Effect.match({
        onSuccess: ({ applied }) => void process.stdout.write(applied.length === 0 ? "up to date\n" : applied.map((name) => `applied ${name}\n`).join("")),
        onFailure: report,
      }),
    )
    await Effect.runPromise(run)
  }
}
