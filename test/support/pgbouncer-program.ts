/**
 * Where the pgbouncer of the tests comes from: the variable PGBOUNCER, PATH, this user's cache, or this system's own package, downloaded by
 * apt and unpacked with the libraries it names into the cache. Nothing of the system changes, and nobody needs to be root.
 */
import { Effect } from "effect"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { cacheFolder } from "#dev/cache.ts"
import { DevError } from "#dev/errors.ts"
import { runCommand } from "#dev/run-command.ts"

export interface PgBouncer {
  readonly path: string
  /** The folders of its libraries, as LD_LIBRARY_PATH has them; null where it was installed. */
  readonly libraries: string | null
}

const HINT = "Install it (Debian, Ubuntu: sudo apt-get install pgbouncer; macOS: brew install pgbouncer), or set PGBOUNCER to its path."
const DOWNLOAD_MS = 120_000

export const pgbouncerProgram: Effect.Effect<PgBouncer, DevError> = Effect.gen(function* () {
  const named = process.env["PGBOUNCER"]
  if (named !== undefined && named !== "") return yield* probe({ path: named, libraries: null })
  const folders = [...(process.env["PATH"] ?? "").split(delimiter).filter(Boolean), "/usr/sbin", "/usr/local/sbin"]
  const installed = folders.map((folder) => join(folder, "pgbouncer")).find((path) => existsSync(path))
  if (installed !== undefined) return yield* probe({ path: installed, libraries: null })
  return yield* fromCache.pipe(Effect.catch(() => Effect.andThen(download, fromCache)))
})

const root = (): string => join(cacheFolder(), "pgbouncer")

const fromCache = Effect.suspend(() => {
  const folders = ["lib", join("usr", "lib")].map((folder) => join(root(), folder)).filter((folder) => existsSync(folder))
  const libraries = folders.flatMap((folder) => readdirSync(folder).filter((name) => name.includes("-linux-")).map((name) => join(folder, name)))
  return probe({ path: join(root(), "usr", "sbin", "pgbouncer"), libraries: libraries.join(delimiter) })
})

export const libraryPath = ({ libraries }: PgBouncer): Record<string, string> => (libraries === null ? {} : { LD_LIBRARY_PATH: libraries })

const probe = (program: PgBouncer): Effect.Effect<PgBouncer, DevError> =>
  runCommand(program.path, ["--version"], { env: { ...process.env, ...libraryPath(program) } }).pipe(
    Effect.as(program),
    Effect.mapError((error) => new DevError({ message: `The tests need pgbouncer, and there is none that runs: ${error.message}`, hint: HINT })),
  )

/** By the machine's own package lists; where it has none, by lists of our own. */
const download: Effect.Effect<void, DevError> = Effect.acquireUseRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "tideline-pgbouncer-"))),
  (scratch) => {
    for (const folder of ["lists", "archives"]) mkdirSync(join(scratch, folder, "partial"), { recursive: true })
    const own = ["-o", `Dir::State::lists=${join(scratch, "lists")}`, "-o", `Dir::Cache=${scratch}`]
    return unpack(scratch, []).pipe(
      Effect.catch(() => Effect.andThen(runCommand("apt-get", [...own, "-o", "APT::Sandbox::User=root", "update"], { timeoutMs: DOWNLOAD_MS }), unpack(scratch, own))),
      Effect.mapError((error) => new DevError({ message: `The tests need pgbouncer, and apt does not give it: ${error.message}`, hint: HINT })),
    )
  },
  (scratch) => Effect.sync(() => rmSync(scratch, { recursive: true, force: true })),
)

const unpack = (scratch: string, lists: ReadonlyArray<string>): Effect.Effect<void, DevError> =>
  Effect.gen(function* () {
    const depends = yield* runCommand("apt-cache", [...lists, "depends", "pgbouncer"])
    const libraries = [...depends.matchAll(/^\s*\|?Depends: (lib[a-z0-9.+-]+)$/gm)].map((match) => match[1]!).filter((name) => name !== "libc6")
    yield* runCommand("apt-get", [...lists, "-o", "APT::Sandbox::User=root", "download", "pgbouncer", ...libraries], { cwd: scratch, timeoutMs: DOWNLOAD_MS })
    yield* runCommand("sh", ["-c", "for package in *.deb; do dpkg -x $package unpacked; done"], { cwd: scratch })
    const target = root()
    const draft = `${target}.${process.pid}`
    mkdirSync(cacheFolder(), { recursive: true })
    yield* runCommand("cp", ["-r", join(scratch, "unpacked"), draft])
    rmSync(target, { recursive: true, force: true })
    try {
      renameSync(draft, target)
    } catch {
      // Another clone was faster.
      rmSync(draft, { recursive: true, force: true })
    }
  })
