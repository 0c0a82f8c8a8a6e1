/**
 * Real servers for live tests: a Postgres and a nats-server of this machine on free loopback ports, their data in temporary
 * folders without fsync. They end with the test process, however it ends (dev/watch.ts); `stop` ends them sooner and removes the folder.
 *
 *     const pg = await startPostgres()        // afterAll(() => pg.stop())
 *     const nats = await startNats()          // nats.url("relay")
 */
import { Effect, Exit, Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { migrate } from "#db/migrate.ts"
import type { Child } from "#dev/child.ts"
import type { DevError } from "#dev/errors.ts"
import { embeddedNats, NATS_USERS } from "#dev/nats.ts"
import type { NatsUser } from "#dev/nats.ts"
import { natsServer } from "#dev/nats-server.ts"
import { freePort } from "#dev/ports.ts"
import { embeddedPostgres } from "#dev/postgres.ts"
import { letSignIn } from "#dev/roles.ts"
import { forgetFolder, watchFolder } from "#dev/watch.ts"

export interface TestServer {
  readonly port: number
  /** The process that serves now. */
  readonly pid: () => number
  /** Ends it in good order and removes its data. */
  readonly stop: () => Promise<void>
  /** SIGKILL. The data stays for `restart`. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port and data, after `kill`, or after ending it in good order first. */
  readonly restart: () => Promise<void>
  /** Holds the process still, and lets it go on. */
  readonly pause: () => void
  readonly resume: () => void
}

export interface TestPostgres extends TestServer {
  readonly dataDir: string
  /** The address for a role; the superuser's unless told. Every role that may sign in has the superuser's password. */
  readonly url: (role?: string) => string
}

export interface TestNats extends TestServer {
  readonly storeDir: string
  /** The address for a user of nats.conf; the operator's unless told. */
  readonly url: (user?: NatsUser) => string
}

export interface PostgresTestOptions {
  /** With fsync; off unless told. */
  readonly durable?: boolean
}

export interface NatsTestOptions {
  /** Another configuration file than nats/nats.conf. */
  readonly config?: string
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly port?: number
}

const PASSWORD = "test"

export const startPostgres = async (options: PostgresTestOptions = {}): Promise<TestPostgres> => {
  const folder = temporaryFolder("postgres")
  const port = await Effect.runPromise(freePort())
  const dataDir = join(folder, "data")
  const server = await Effect.runPromise(embeddedPostgres({ dataDir, port, password: PASSWORD, durable: options.durable ?? false }))
  const running = await run(server.start(), folder)
  return { ...running, port, dataDir, url: (role) => server.url(role) }
}

export const startNats = async (options: NatsTestOptions = {}): Promise<TestNats> => {
  const folder = temporaryFolder("nats")
  const port = options.port ?? (await Effect.runPromise(freePort()))
  const storeDir = join(folder, "store")
  const program = await Effect.runPromise(natsServer())
  const passwords = Object.fromEntries(NATS_USERS.map((user) => [user, PASSWORD])) as Record<NatsUser, string>
  const server = embeddedNats({ program, storeDir, port, passwords, ...options })
  const running = await run(server.start(), folder)
  return { ...running, port, storeDir, url: (user = "operator") => server.url(user) }
}

/** A Postgres with the schema of db/migrations, with the demo workspace if wanted; the services' roles may sign in. */
export const migratedPostgres = async (options: { readonly demo?: boolean } = {}): Promise<TestPostgres> => {
  const server = await startPostgres()
  const ready = migrate(server.url(), { demo: options.demo ?? false }).pipe(Effect.andThen(letSignIn(server.url(), { tide_relay: PASSWORD, tide_command: PASSWORD })))
  await Effect.runPromise(ready).catch(async (error: unknown) => {
    await server.stop()
    throw error
  })
  return server
}

const temporaryFolder = (kind: string): string => {
  const folder = mkdtempSync(join(tmpdir(), `tideline-test-${kind}-`))
  watchFolder(folder)
  return folder
}

const run = async (start: Effect.Effect<Child, DevError, Scope.Scope>, folder: string) => {
  let scope: Scope.Closeable
  let child: Child
  const begin = async (): Promise<void> => {
    scope = Scope.makeUnsafe()
    child = await Effect.runPromise(Scope.provide(start, scope))
  }
  const end = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  await begin()
  return {
    pid: () => child.pid,
    stop: async () => {
      child.signal("SIGCONT")
      await end()
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
      forgetFolder(folder)
    },
    kill: async () => {
      child.signal("SIGKILL")
      await Effect.runPromise(child.ended)
      await end()
    },
    restart: async () => {
      child.signal("SIGCONT")
      await end()
      await begin()
    },
    pause: () => child.signal("SIGSTOP"),
    resume: () => child.signal("SIGCONT"),
  }
}
