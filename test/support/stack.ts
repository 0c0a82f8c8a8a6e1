/**
 * All of Tideline for an end-to-end test: what `npm start` runs (dev/stack.ts), on free ports, with data of its own that is removed at
 * the end. The processes end with the test process, however it ends.
 *
 *     const stack = await startStack()          // afterAll(() => stop())
 *     stack.webUrl, stack.edgeUrls, stack.databaseUrl, stack.natsUrl, stack.token("ada")
 *     await stack.kill("edge-1"); await stack.ready("edge-1")
 */
import { Effect, Exit, Scope } from "effect"
import { SignJWT } from "jose"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "#dev/ports.ts"
import type { Screen } from "#dev/screen.ts"
import { runStack } from "#dev/stack.ts"
import { forgetFolder, watchFolder } from "#dev/watch.ts"
import { until } from "./until.ts"

export interface StackOptions {
  /** 2 unless told. */
  readonly edges?: number
  /** The demo workspace, and demo tokens; yes unless told. */
  readonly demo?: boolean
  /** A data folder to go on with; it is then not removed. */
  readonly dataDir?: string
}

/** postgres, nats, relay, authz, command, edge-1, edge-2, …, web. */
export type ProcessName = string

export interface TestStack {
  readonly webUrl: string
  readonly edgeUrls: ReadonlyArray<string>
  /** As superuser, as operator. */
  readonly databaseUrl: string
  readonly natsUrl: string
  readonly dataDir: string
  /** A token for a user, good for an hour; of a session where one is named. */
  readonly token: (user: string, session?: string) => Promise<string>
  readonly pid: (name: ProcessName) => number | null
  readonly observeUrl: (name: ProcessName) => string
  /** SIGKILL; it is started again by itself. Resolves when it is dead. */
  readonly kill: (name: ProcessName) => Promise<void>
  /** SIGKILL, and it stays down until `release`. */
  readonly hold: (name: ProcessName) => Promise<void>
  /** Starts a held one; resolves when it is ready. */
  readonly release: (name: ProcessName) => Promise<void>
  /** Ends it in good order and starts it again; resolves when it is ready. */
  readonly restart: (name: ProcessName) => Promise<void>
  /** Resolves when it serves. */
  readonly ready: (name: ProcessName) => Promise<void>
  /** Any other signal: SIGSTOP, SIGCONT. */
  readonly signal: (name: ProcessName, signal: NodeJS.Signals) => void
  readonly stop: () => Promise<void>
}

/** Nothing but what goes wrong is shown. */
const quiet: Screen = {
  step: (_title, effect) => effect,
  note: () => undefined,
  warn: (text) => void process.stderr.write(`${text}\n`),
  line: () => undefined,
}

export const startStack = async (options: StackOptions = {}): Promise<TestStack> => {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "tideline-test-stack-"))
  if (options.dataDir === undefined) watchFolder(dataDir)
  const [webPort = 0, ...edgePorts] = await freePorts(1 + (options.edges ?? 2))
  const scope = Scope.makeUnsafe()
  const close = async (): Promise<void> => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    if (options.dataDir !== undefined) return
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    forgetFolder(dataDir)
  }
  const settings = { databaseUrl: null, directUrl: null, natsUrl: null, dataDir, webPort, edgePorts, jwtSecret: null, jwksUrl: null, demo: options.demo ?? true, durable: false }
  const stack = await Effect.runPromise(runStack(settings, quiet).pipe(Scope.provide(scope))).catch(async (error: unknown) => {
    await close()
    throw error
  })

  const ready = (name: ProcessName): Promise<void> => Effect.runPromise(stack.process(name).whenReady)
  const hold = (name: ProcessName, signal: NodeJS.Signals): Promise<void> => {
    // A stopped process hears no other signal.
    stack.process(name).signal("SIGCONT")
    return Effect.runPromise(stack.process(name).hold(signal))
  }
  const release = async (name: ProcessName): Promise<void> => {
    await Effect.runPromise(stack.process(name).release)
    await ready(name)
  }
  return {
    webUrl: stack.webUrl,
    edgeUrls: stack.edgeUrls,
    databaseUrl: stack.databaseUrl,
    natsUrl: stack.natsUrl,
    dataDir,
    token: (user, session) => new SignJWT(session === undefined ? {} : { sid: session }).setProtectedHeader({ alg: "HS256" }).setSubject(user).setIssuedAt(Date.now() / 1_000).setExpirationTime("1h").sign(new TextEncoder().encode(stack.jwtSecret!)),
    pid: (name) => stack.process(name).pid(),
    observeUrl: (name) => `http://127.0.0.1:${stack.processes().find((one) => one.name === name)?.observePort}`,
    kill: async (name) => {
      const { pid, signal } = stack.process(name)
      const before = pid()
      signal("SIGKILL")
      await until(() => pid() !== before, { what: `${name} is dead` })
    },
    hold: (name) => hold(name, "SIGKILL"),
    release,
    restart: async (name) => {
      await hold(name, name === "postgres" ? "SIGINT" : "SIGTERM")
      await release(name)
    },
    ready,
    signal: (name, signal) => stack.process(name).signal(signal),
    stop: async () => {
      for (const { name } of stack.processes()) stack.process(name).signal("SIGCONT")
      await close()
    },
  }
}

/** That many different ones. */
const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await Effect.runPromise(freePort()))
  return [...ports]
}
