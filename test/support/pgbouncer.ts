/**
 * A pgbouncer in transaction mode before a test's Postgres: sessions are lent for a transaction. It ends with the test process, however
 * it ends.
 *
 *     const pooler = await startPgBouncer(pg, { poolSize: 2 })     // afterAll(() => pooler.stop())
 *     pooler.url("tide_relay")
 */
import { Effect, Exit, Scope } from "effect"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Child } from "#dev/child.ts"
import { startChild } from "#dev/child.ts"
import { freePort } from "#dev/ports.ts"
import { runsAsRoot } from "#dev/readable.ts"
import { forgetFolder, watchFolder } from "#dev/watch.ts"
import { libraryPath, pgbouncerProgram } from "./pgbouncer-program.ts"
import type { TestPostgres } from "./servers.ts"

export interface TestPooler {
  /** The address for a role, the superuser's unless told. */
  readonly url: (role?: string) => string
  /** Ends it at once, as a crash would, and starts it again. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

export interface PoolerOptions {
  /** Sessions of the server for each role. */
  readonly poolSize: number
  readonly mode?: "transaction" | "session"
}

export const startPgBouncer = async (pg: TestPostgres, { poolSize, mode = "transaction" }: PoolerOptions): Promise<TestPooler> => {
  const program = await Effect.runPromise(pgbouncerProgram)
  const port = await Effect.runPromise(freePort())
  const folder = mkdtempSync(join(tmpdir(), "tideline-test-pgbouncer-"))
  watchFolder(folder)
  const server = new URL(pg.url())
  const users = ["postgres", "tide_relay", "tide_command"].map((role) => new URL(pg.url(role))).map(({ username, password }) => `"${username}" "${password}"\n`)
  // Only what differs from the defaults: an application_name is the one setting that clients bring.
  const settings = [
    "[databases]",
    `* = host=${server.hostname} port=${server.port}`,
    "[pgbouncer]",
    `pool_mode = ${mode}`,
    `default_pool_size = ${poolSize}`,
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = scram-sha-256",
    `auth_file = ${join(folder, "users")}`,
  ]
  writeFileSync(join(folder, "users"), users.join(""))
  writeFileSync(join(folder, "pgbouncer.ini"), `${settings.join("\n")}\n`)
  // It refuses to be root, and reads its users as the one it became.
  chmodSync(folder, 0o755)
  let scope: Scope.Closeable
  let child: Child
  const begin = async (): Promise<void> => {
    scope = Scope.makeUnsafe()
    const start = Effect.gen(function* () {
      const started = yield* startChild({
        name: "pgbouncer",
        command: program.path,
        args: [...(runsAsRoot() ? ["-u", "nobody"] : []), join(folder, "pgbouncer.ini")],
        env: libraryPath(program),
        stopSignal: "SIGTERM",
        graceMs: 2_000,
      })
      yield* started.line((line) => line.includes("listening on 127.0.0.1"))
      return started
    })
    child = await Effect.runPromise(Scope.provide(start, scope))
  }
  const end = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  await begin()
  return {
    url: (role) => {
      const url = new URL(pg.url(role))
      url.port = String(port)
      return url.href
    },
    restart: async () => {
      child.signal("SIGKILL")
      await end()
      await begin()
    },
    stop: async () => {
      await end()
      rmSync(folder, { recursive: true, force: true })
      forgetFolder(folder)
    },
  }
}
