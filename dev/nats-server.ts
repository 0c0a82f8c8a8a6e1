/**
 * Where the nats-server program comes from, in this order:
 *
 * 1. the variable NATS_SERVER, 2. PATH, 3. the cache of this user, 4. the official release, its archive checked against a pinned
 * sha256, 5. Debian's package of a newer suite, signature-checked by apt in a folder of its own (nothing of the system changes).
 *
 * Atomic batches, message TTL and multi-filter direct gets need 2.12. What was taken is said in `origin`.
 */
import { Effect } from "effect"
import { accessSync, chmodSync, constants, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { createHash } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { cacheFolder } from "./cache.ts"
import { DevError, reasonOf } from "./errors.ts"
import { runCommand } from "./run-command.ts"

export interface NatsServer {
  readonly path: string
  readonly version: string
  /** For people: where it came from. */
  readonly origin: string
}

const NEEDED: readonly [number, number] = [2, 12]

/** The official release, and the sha256 of its archives as the project's own container images pin them. */
const RELEASE = "2.14.5"
const ARCHIVES: Readonly<Record<string, { readonly file: string; readonly sha256: string }>> = {
  "linux-x64": { file: "linux-amd64.tar.gz", sha256: "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355" },
  "linux-arm64": { file: "linux-arm64.tar.gz", sha256: "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c" },
  "win32-x64": { file: "windows-amd64.zip", sha256: "f66f840a211ab665083b88e9b7edbcf6296cda143be47e53e6f6bb8520692bbb" },
}
/** Milliseconds for the release server to begin to answer: where it cannot be reached the next source is tried soon. */
const ANSWER_MS = 8_000
const DOWNLOAD_MS = 120_000

/** The Debian suite that has a new enough package, and the keyring that every Debian ships. */
const SUITE = "forky"
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

const program = process.platform === "win32" ? "nats-server.exe" : "nats-server"

/** The version a `nats-server --version` prints, or null. */
export const parseVersion = (text: string): string | null => /v?(\d+\.\d+\.\d+[\w.-]*)/.exec(text)?.[1] ?? null

export const isNewEnough = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

/** Finds the program or fetches it. `note` hears of a download before it begins and of a source that failed. */
export const natsServer = Effect.fnUntraced(function* (note: (text: string) => void = () => undefined, env: NodeJS.ProcessEnv = process.env) {
  const named = env["NATS_SERVER"]
  if (named !== undefined && named !== "") {
    const found = yield* probe(named, "NATS_SERVER").pipe(
      Effect.mapError((error) => new DevError({ message: `NATS_SERVER is ${named}: ${error.message}`, hint: "Set NATS_SERVER to the path of a nats-server 2.12 or later, or unset it." })),
    )
    return found
  }
  const failures: Array<string> = []
  const sources: ReadonlyArray<Effect.Effect<NatsServer, DevError>> = [
    onPath(env),
    probe(cached(env), "the cache"),
    fromRelease(env, note),
    fromDebian(env, note),
  ]
  for (const source of sources) {
    const outcome = yield* Effect.result(source)
    if (outcome._tag === "Success") return outcome.success
    failures.push(outcome.failure.message)
  }
  return yield* new DevError({
    message: `No nats-server 2.12 or later was found or could be fetched.\n${failures.map((line) => `  - ${line}`).join("\n")}`,
    hint: "Install one (macOS: brew install nats-server; others: github.com/nats-io/nats-server/releases) and put it on PATH or name it in NATS_SERVER, or set NATS_URL to a running server.",
  })
})

const cached = (env: NodeJS.ProcessEnv): string => join(cacheFolder(env), "nats-server", program)

const probe = (path: string, origin: string): Effect.Effect<NatsServer, DevError> =>
  Effect.gen(function* () {
    try {
      accessSync(path, constants.X_OK)
    } catch {
      return yield* new DevError({ message: `${origin}: there is no program ${path}.`, hint: "" })
    }
    const version = parseVersion(yield* runCommand(path, ["--version"], { timeoutMs: 10_000 }))
    if (version === null) return yield* new DevError({ message: `${origin}: ${path} does not tell its version.`, hint: "" })
    if (!isNewEnough(version)) return yield* new DevError({ message: `${origin}: ${path} is ${version}, too old.`, hint: "" })
    return { path, version, origin }
  })

const onPath = (env: NodeJS.ProcessEnv): Effect.Effect<NatsServer, DevError> => {
  const found = (env["PATH"] ?? "").split(delimiter).filter(Boolean).map((folder) => join(folder, program)).find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  return found === undefined ? Effect.fail(new DevError({ message: "PATH: no nats-server there.", hint: "" })) : probe(found, "PATH")
}

/** Puts the program into the cache in one step, so that two clones that fetch at once do not meet half a file. */
const keep = (from: string, env: NodeJS.ProcessEnv): Effect.Effect<string, DevError> =>
  Effect.try({
    try: () => {
      const target = cached(env)
      mkdirSync(join(target, ".."), { recursive: true })
      const draft = `${target}.${process.pid}`
      copyFileSync(from, draft)
      chmodSync(draft, 0o755)
      renameSync(draft, target)
      return target
    },
    catch: (cause) => new DevError({ message: `the fetched nats-server could not be kept: ${reasonOf(cause)}`, hint: "" }),
  })

/** A scratch folder for the length of the effect. */
const withScratch = <A>(use: (folder: string) => Effect.Effect<A, DevError>): Effect.Effect<A, DevError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "tideline-nats-"))),
    use,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true })),
  )

const fromRelease = (env: NodeJS.ProcessEnv, note: (text: string) => void): Effect.Effect<NatsServer, DevError> =>
  withScratch((scratch) =>
    Effect.gen(function* () {
      const archive = ARCHIVES[`${process.platform}-${process.arch}`]
      if (archive === undefined) {
        return yield* new DevError({ message: `Official release: no pinned archive for ${process.platform}-${process.arch}.`, hint: "" })
      }
      const name = `nats-server-v${RELEASE}-${archive.file}`
      note(`fetching nats-server ${RELEASE} (official release)`)
      const bytes = yield* Effect.tryPromise({
        try: () => download(`https://github.com/nats-io/nats-server/releases/download/v${RELEASE}/${name}`),
        catch: (cause) => new DevError({ message: `Official release: ${reasonOf(cause)}.`, hint: "" }),
      })
      const sum = createHash("sha256").update(bytes).digest("hex")
      if (sum !== archive.sha256) {
        return yield* new DevError({ message: `Official release: ${name} has sha256 ${sum}, not the pinned one; it was not used.`, hint: "" })
      }
      const file = join(scratch, name)
      yield* Effect.promise(() => writeFile(file, bytes))
      yield* runCommand("tar", ["-xf", file, "-C", scratch])
      const path = yield* keep(join(scratch, name.replace(/\.(tar\.gz|zip)$/, ""), program), env)
      return yield* probe(path, `official release ${RELEASE}`)
    }),
  )

const download = async (url: string): Promise<Buffer> => {
  const answered = AbortSignal.timeout(DOWNLOAD_MS)
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(new Error(`no answer within ${ANSWER_MS / 1000} s`)), ANSWER_MS)
  try {
    const response = await fetch(url, { signal: AbortSignal.any([answered, silence.signal]) })
    clearTimeout(timer)
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return Buffer.from(await response.arrayBuffer())
  } catch (cause) {
    const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : reasonOf(cause)
    throw new Error(`${new URL(url).host} could not be reached (${inner})`)
  } finally {
    clearTimeout(timer)
  }
}

const fromDebian = (env: NodeJS.ProcessEnv, note: (text: string) => void): Effect.Effect<NatsServer, DevError> =>
  withScratch((scratch) =>
    Effect.gen(function* () {
      const none = (why: string) => new DevError({ message: `Debian's package: ${why}.`, hint: "" })
      try {
        accessSync(KEYRING)
      } catch {
        return yield* none("this is not a Debian system")
      }
      const mirror = yield* Effect.promise(debianMirror)
      if (mirror === null) return yield* none("no mirror in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list")
      note(`fetching nats-server (Debian ${SUITE})`)
      const sources = join(scratch, "sources")
      const lists = join(scratch, "lists")
      mkdirSync(sources)
      mkdirSync(join(lists, "partial"), { recursive: true })
      mkdirSync(join(scratch, "archives", "partial"), { recursive: true })
      yield* Effect.promise(() =>
        writeFile(join(sources, "tideline.sources"), `Types: deb\nURIs: ${mirror}\nSuites: ${SUITE}\nComponents: main\nSigned-By: ${KEYRING}\n`),
      )
      const own = [
        "Dir::Etc::sourcelist=/dev/null",
        `Dir::Etc::sourceparts=${sources}`,
        `Dir::State::lists=${lists}`,
        `Dir::Cache=${scratch}`,
        "Dir::Etc::preferences=/dev/null",
        "Dir::Etc::preferencesparts=/dev/null",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
      ].flatMap((option) => ["-o", option])
      const apt = (...args: ReadonlyArray<string>) =>
        runCommand("apt-get", [...own, ...args], { cwd: scratch, timeoutMs: DOWNLOAD_MS }).pipe(Effect.mapError((error) => none(error.message)))
      yield* apt("update")
      yield* apt("download", "nats-server")
      yield* runCommand("sh", ["-c", "dpkg -x nats-server_*.deb unpacked"], { cwd: scratch })
      const path = yield* keep(join(scratch, "unpacked", "usr", "sbin", "nats-server"), env)
      return yield* probe(path, `Debian ${SUITE}'s package`)
    }),
  )

/** The mirror that this machine already uses for Debian itself. */
const debianMirror = async (): Promise<string | null> => {
  const read = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "")
  const modern = await read("/etc/apt/sources.list.d/debian.sources")
  for (const stanza of modern.split(/\n\s*\n/)) {
    if (/^Suites:.*(security)/m.test(stanza)) continue
    const address = /^URIs:\s*(\S+)/m.exec(stanza)?.[1]
    if (address !== undefined) return address
  }
  return /^deb\s+(?:\[[^\]]*\]\s*)?(\S+)/m.exec(await read("/etc/apt/sources.list"))?.[1] ?? null
}
