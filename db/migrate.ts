/**
 * Brings a database to the schema this version needs, in three steps:
 * - db/migrations/*.sql, the tables: each file once, in the order of their names. What was applied is never edited: its checksum is compared.
 * - db/functions/*.sql: all of them anew whenever one of them has changed. The last one gives tables that are tracked the new triggers.
 * - db/demo/*.sql where the demo is wanted, each once, as the tables.
 * All that is missing goes in one transaction under an advisory lock, so any number of processes may start at once and none sees half a schema.
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

interface File {
  /** `0001_outbox.sql`, or with its folder: `functions/02_capture.sql`. */
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

interface Wanted {
  readonly tables: ReadonlyArray<File>
  readonly functions: ReadonlyArray<File>
  readonly demo: ReadonlyArray<File>
}

/** The name under which the ledger (tide.migration) keeps the checksum of all functions together. */
export const FUNCTIONS = "functions"

/** Any process that migrates takes it. */
const LOCK_KEY = 7_419_003

export const migrate = (url: string, options: { readonly demo?: boolean } = {}): Effect.Effect<Migrated, CannotConnect | MigrationError> =>
  Effect.gen(function* () {
    const wanted: Wanted = { tables: yield* read("migrations", ""), functions: yield* readFunctions, demo: options.demo === true ? yield* read("demo", "demo/") : [] }
    const sql = yield* connect({ url, name: "tideline migrate" })
    return yield* Effect.tryPromise({
      try: () => sql.begin((tx) => applyMissing(tx, wanted)),
      catch: (cause) =>
        cause instanceof MigrationError ? cause : new MigrationError({ message: String(cause), hint: "Nothing was changed." }),
    })
  }).pipe(Effect.scoped)

const read = (folder: string, prefix: string): Effect.Effect<ReadonlyArray<File>> =>
  Effect.promise(async () => {
    const directory = new URL(`${folder}/`, import.meta.url)
    const names = (await readdir(directory)).filter((name) => /^\d+_\w+\.sql$/.test(name)).sort()
    return Promise.all(
      names.map(async (name) => {
        const sql = (await readFile(new URL(name, directory), "utf8")).replaceAll("\r\n", "\n")
        return { name: prefix + name, sql, checksum: sha256(sql) }
      }),
    )
  })

const readFunctions = read("functions", "functions/")
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")
const checksumOf = (files: ReadonlyArray<File>): string => sha256(files.map(({ name, checksum }) => `${name} ${checksum}\n`).join(""))

/** What the ledger says of the functions where they are those of this version. */
export const functionsChecksum: Effect.Effect<string> = Effect.map(readFunctions, checksumOf)

const applyMissing = async (tx: postgres.TransactionSql, wanted: Wanted): Promise<Migrated> => {
  await tx`select pg_advisory_xact_lock(${LOCK_KEY})`
  await requireServer(tx)
  await tx`create schema if not exists tide`
  await tx`create table if not exists tide.migration (
    name text primary key, checksum text not null, applied_at timestamptz not null default now())`
  const rows = await tx<Array<{ name: string; checksum: string }>>`select name, checksum from tide.migration`
  const held = new Map(rows.map((row) => [row.name, row.checksum]))
  refuseUnknown(held, wanted.tables)
  return { applied: [...(await applyOnce(tx, held, wanted.tables)), ...(await applyFunctions(tx, held, wanted.functions)), ...(await applyOnce(tx, held, wanted.demo))] }
}

const applyOnce = async (tx: postgres.TransactionSql, held: ReadonlyMap<string, string>, files: ReadonlyArray<File>): Promise<ReadonlyArray<string>> => {
  const applied: Array<string> = []
  for (const file of files) {
    const checksum = held.get(file.name)
    if (checksum === file.checksum) continue
    if (checksum !== undefined) {
      throw new MigrationError({
        message: `migration ${file.name} was applied to this database with other contents`,
        hint: "An applied migration must not be edited: restore the file and put the change into a new one.",
      })
    }
    await run(tx, file)
    await note(tx, file.name, file.checksum)
    applied.push(file.name)
  }
  return applied
}

const applyFunctions = async (tx: postgres.TransactionSql, held: ReadonlyMap<string, string>, files: ReadonlyArray<File>): Promise<ReadonlyArray<string>> => {
  const checksum = checksumOf(files)
  if (held.get(FUNCTIONS) === checksum) return []
  for (const file of files) await run(tx, file)
  await note(tx, FUNCTIONS, checksum)
  return [FUNCTIONS]
}

const note = (tx: postgres.TransactionSql, name: string, checksum: string): Promise<unknown> => tx`
  insert into tide.migration (name, checksum) values (${name}, ${checksum})
  on conflict (name) do update set checksum = excluded.checksum, applied_at = excluded.applied_at`

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

const refuseUnknown = (held: ReadonlyMap<string, string>, tables: ReadonlyArray<File>): void => {
  const known = new Set([FUNCTIONS, ...tables.map(({ name }) => name)])
  const unknown = [...held.keys()].filter((name) => !name.startsWith("demo/") && !known.has(name))
  if (unknown.length > 0) {
    throw new MigrationError({
      message: `the database has migrations this version does not know: ${unknown.join(", ")}`,
      hint: "A newer Tideline migrated it: run that version or a later one. Databases from before functions had a folder of their own begin anew (the demo's: remove .tideline).",
    })
  }
}

const run = async (tx: postgres.TransactionSql, file: File): Promise<void> => {
  try {
    await tx.unsafe(file.sql)
  } catch (cause) {
    const { message, hint, position } = cause as { message: string; hint?: string; position?: string }
    const line = position === undefined ? "" : `, line ${file.sql.slice(0, Number(position)).split("\n").length}`
    throw new MigrationError({ message: `${file.name}${line}: ${message}`, hint: hint ?? "Nothing was changed." })
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
