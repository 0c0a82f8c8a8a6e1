/**
 * The embedded Postgres: a real server on a loopback port, its data in a folder that survives. Password sign-in only (scram), no
 * Unix socket. Durable as Postgres is, unless `durable` is false: then a commit survives a kill of the
 * server, not of the machine.
 */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { chownSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, parse } from "node:path"
import postgresjs from "postgres"
import { startChild } from "./child.ts"
import type { Child } from "./child.ts"
import { DevError, reasonOf } from "./errors.ts"
import { postgresProgram } from "./postgres-program.ts"
import type { PostgresProgram } from "./postgres-program.ts"
import { commandLine, endProcess, isAlive } from "./processes.ts"
import { isReachable } from "./readable.ts"

export interface PostgresOptions {
  readonly dataDir: string
  readonly port: number
  /** Of the superuser `postgres`. The folder keeps the first one it was made with. */
  readonly password: string
  /** false: no fsync. For data that nobody misses. */
  readonly durable: boolean
}

export interface EmbeddedPostgres {
  readonly version: string
  /** Starts it and waits until it takes queries. Closing the scope ends it in good order. May be used again after that. */
  readonly start: (onLine?: (line: string) => void) => Effect.Effect<Child, DevError, Scope.Scope>
  /** The address for a role; the superuser's unless told. */
  readonly url: (role?: string, password?: string) => string
}

/** The one database of ours. */
const DATABASE = "tideline"
/** Milliseconds for a fast shutdown, with its checkpoint. */
const STOP_MS = 20_000
/** Milliseconds to become ready: crash recovery reads the log again. */
const READY_MS = 60_000

/** Makes the data folder where there is none. */
export const embeddedPostgres = Effect.fnUntraced(function* (options: PostgresOptions) {
  const program = yield* postgresProgram
  yield* ownFolder(options.dataDir, program)
  if (!existsSync(join(options.dataDir, "PG_VERSION"))) yield* initialise(program, options)
  yield* sameVersion(program, options.dataDir)
  const url = (role = "postgres", password = options.password): string =>
    `postgres://${role}:${password}@127.0.0.1:${options.port}/${DATABASE}`
  const server: EmbeddedPostgres = { version: program.version, start: (onLine) => start(program, options, url, onLine), url }
  return server
})

/** After a kill -9 of the server its sessions take a moment to notice; until then it refuses to start beside them. */
const start = (...what: Parameters<typeof startOnce>): Effect.Effect<Child, DevError, Scope.Scope> =>
  startOnce(...what).pipe(
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50, while: (error) => error.hint.includes("pre-existing shared memory block") }),
  )

const startOnce = (program: PostgresProgram, options: PostgresOptions, url: () => string, onLine?: (line: string) => void): Effect.Effect<Child, DevError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* clearStale(options.dataDir)
    const place = yield* reachedBy(program, options.dataDir, 0)
    const settings = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      log_timezone: "UTC",
      ...(options.durable ? {} : { fsync: "off", full_page_writes: "off" }),
    }
    const child = yield* startChild({
      name: "postgres",
      command: program.postgres,
      args: ["-D", place.path, "-p", String(options.port), ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      cwd: parse(process.cwd()).root,
      env: bareEnvironment(),
      ...(program.as === null ? {} : { as: program.as }),
      descriptors: place.descriptors,
      // SIGINT is Postgres' fast shutdown: it does not wait for clients to leave.
      stopSignal: "SIGINT",
      graceMs: STOP_MS,
      ...(onLine === undefined ? {} : { onLine }),
    })
    yield* child.line((line) => line.includes("ready to accept connections")).pipe(
      Effect.timeoutOrElse({
        duration: READY_MS,
        orElse: () => Effect.fail(new DevError({ message: `The embedded Postgres was not ready after ${READY_MS / 1000} s.`, hint: child.lastLines().slice(-5).join("\n") })),
      }),
    )
    yield* ensureDatabase(url())
    return child
  })

/** What a server needs of our environment, and nothing that a PG* or LC_* variable could bend. */
const bareEnvironment = (): Record<string, string> => {
  const kept = ["PATH", "SystemRoot", "TEMP", "TMP"].flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]!] as const]))
  return { ...Object.fromEntries(kept), LC_ALL: "C", TZ: "UTC" }
}

/**
 * A file or folder of the server's user, as that user can name it. Where a folder above is closed to it (a checkout in /root), it gets
 * the file as an open descriptor instead of a path. `before`: descriptors handed over besides.
 */
const reachedBy = (program: PostgresProgram, path: string, before: number): Effect.Effect<Reached, DevError, Scope.Scope> => {
  if (program.as === null || isReachable(path, program.as)) return Effect.succeed({ path, descriptors: [] })
  if (process.platform !== "linux") {
    return Effect.fail(new DevError({ message: `Postgres does not run as root, and the user nobody cannot reach ${path}.`, hint: "Run as an ordinary user, or set TIDELINE_DATA to a folder that others can reach." }))
  }
  return Effect.acquireRelease(
    Effect.sync(() => openSync(path, "r")),
    (descriptor) => Effect.sync(() => closeSync(descriptor)),
  ).pipe(Effect.map((descriptor) => ({ path: `/proc/self/fd/${3 + before}`, descriptors: [descriptor] })))
}

interface Reached {
  readonly path: string
  readonly descriptors: ReadonlyArray<number>
}

const ownFolder = (dataDir: string, program: PostgresProgram): Effect.Effect<void, DevError> =>
  Effect.try({
    try: () => {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 })
      if (program.as !== null && !existsSync(join(dataDir, "PG_VERSION"))) chownSync(dataDir, program.as.uid, program.as.gid)
    },
    catch: (cause) => new DevError({ message: `The folder ${dataDir} cannot be made: ${reasonOf(cause)}.`, hint: "Set TIDELINE_DATA to a folder that can be written." }),
  })

const initialise = (program: PostgresProgram, options: PostgresOptions): Effect.Effect<void, DevError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const place = yield* reachedBy(program, options.dataDir, 0)
      const secrets = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "tideline-initdb-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true })),
      )
      const passwordFile = join(secrets, "password")
      writeFileSync(passwordFile, `${options.password}\n`, { mode: 0o600 })
      if (program.as !== null) for (const path of [secrets, passwordFile]) chownSync(path, program.as.uid, program.as.gid)
      const password = yield* reachedBy(program, passwordFile, place.descriptors.length)
      const initdb = yield* startChild({
        name: "initdb",
        command: program.initdb,
        args: [
          "-D", place.path,
          "-U", "postgres",
          "-A", "scram-sha-256",
          `--pwfile=${password.path}`,
          "--locale=C",
          "-E", "UTF8",
          "--no-instructions",
          ...(options.durable ? [] : ["--no-sync"]),
        ],
        cwd: parse(process.cwd()).root,
        env: bareEnvironment(),
        ...(program.as === null ? {} : { as: program.as }),
        descriptors: [...place.descriptors, ...password.descriptors],
        stopSignal: "SIGTERM",
        graceMs: STOP_MS,
      })
      const ended = yield* initdb.ended
      if (ended.code !== 0) {
        // Half a cluster would look like a whole one next time.
        rmSync(options.dataDir, { recursive: true, force: true })
        return yield* new DevError({ message: `The embedded Postgres could not make its data folder ${options.dataDir}.`, hint: initdb.lastLines().slice(-5).join("\n") })
      }
    }),
  )

const sameVersion = (program: PostgresProgram, dataDir: string): Effect.Effect<void, DevError> => {
  const had = readFileSync(join(dataDir, "PG_VERSION"), "utf8").trim()
  const major = program.version.split(".")[0]
  return had === major
    ? Effect.void
    : Effect.fail(new DevError({ message: `The data in ${dataDir} is of Postgres ${had}, this is ${program.version}.`, hint: "Move the folder away for a fresh start, or set DATABASE_URL to a server of that version." }))
}

/**
 * A server whose starter was killed may still be there, or its lock file alone, whose number may belong to another process by
 * now. The first is ended, the second removed.
 */
const clearStale = (dataDir: string): Effect.Effect<void, DevError> =>
  Effect.gen(function* () {
    const lock = join(dataDir, "postmaster.pid")
    if (!existsSync(lock)) return
    const pid = Number(readFileSync(lock, "utf8").split("\n")[0])
    if (Number.isInteger(pid) && pid > 1 && isAlive(pid)) {
      if (servesFrom(pid, dataDir)) yield* endProcess(pid, "SIGINT", STOP_MS)
      else rmSync(lock, { force: true })
    }
  })

const servesFrom = (pid: number, dataDir: string): boolean => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataDir)
  } catch {
    return commandLine(pid).includes(dataDir)
  }
}

const ensureDatabase = (url: string): Effect.Effect<void, DevError> =>
  Effect.tryPromise({
    try: async () => {
      const sql = postgresjs(url.replace(/[^/]*$/, "postgres"), { max: 1, onnotice: () => undefined, connect_timeout: 10 })
      try {
        const there = await sql`select 1 from pg_database where datname = ${DATABASE}`
        if (there.length === 0) await sql.unsafe(`create database ${DATABASE}`)
      } finally {
        await sql.end({ timeout: 2 })
      }
    },
    catch: (cause) =>
      new DevError({
        message: `The embedded Postgres refused its own superuser: ${reasonOf(cause)}.`,
        hint: "Its data folder and secrets.json do not belong together. Put back the secrets.json it was made with, or move the folder away for a fresh start.",
      }),
  })
