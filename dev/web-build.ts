/**
 * The web app, built once for each state of its sources: the result lies in node_modules/.cache under a hash of everything that goes into
 * it, so a second start, a second stack and the tests find it there, and two that build at once do not disturb each other.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from "node:fs"
import { join, relative } from "node:path"
import { runCommand } from "./run-command.ts"
import type { DevError } from "./errors.ts"
import { ROOT } from "./services.ts"

/** What goes into the build, from the root of the project. */
const SOURCES = ["web", "protocol", "package.json", "package-lock.json"]
const NOT_SOURCES = /(^|\/)(dist|node_modules|server|__screenshots__)(\/|$)|\.test\.ts$/
/** Builds that are kept. */
const KEPT = 3
const BUILD_MS = 300_000

const builds = join(ROOT, "node_modules", ".cache", "tideline-web")

const files = (path: string): ReadonlyArray<string> => {
  const name = relative(ROOT, path).replaceAll("\\", "/")
  if (NOT_SOURCES.test(name) || !existsSync(path)) return []
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path).toSorted().flatMap((entry) => files(join(path, entry)))
}

const sourceHash = (): string => {
  const hash = createHash("sha256")
  for (const path of SOURCES.flatMap((source) => files(join(ROOT, source)))) hash.update(relative(ROOT, path)).update("\0").update(readFileSync(path)).update("\0")
  return hash.digest("hex").slice(0, 16)
}

export interface WebBuild {
  readonly folder: string
  /** Whether it had to be built. */
  readonly fresh: boolean
}

export const webBuild: Effect.Effect<WebBuild, DevError> = Effect.gen(function* () {
  const folder = join(builds, sourceHash())
  if (existsSync(join(folder, "index.html"))) {
    const now = new Date()
    utimesSync(folder, now, now)
    return { folder, fresh: false }
  }
  const draft = `${folder}.${process.pid}`
  mkdirSync(builds, { recursive: true })
  yield* runCommand(process.execPath, [join(ROOT, "node_modules", "vite", "bin", "vite.js"), "build", "web", "--outDir", draft, "--emptyOutDir", "--logLevel", "error"], {
    cwd: ROOT,
    env: { ...process.env, NODE_ENV: "production" },
    timeoutMs: BUILD_MS,
  }).pipe(Effect.onError(() => Effect.sync(() => rmSync(draft, { recursive: true, force: true }))))
  rmSync(folder, { recursive: true, force: true })
  renameSync(draft, folder)
  removeOld()
  return { folder, fresh: true }
})

const removeOld = (): void => {
  const byAge = readdirSync(builds)
    .map((name) => join(builds, name))
    .toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const folder of byAge.slice(KEPT)) rmSync(folder, { recursive: true, force: true })
}
