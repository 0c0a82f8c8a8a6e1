/** The embedded nats-server: `nats/nats.conf` on a loopback port, its streams in a folder that survives. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { mkdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { startChild } from "./child.ts"
import type { Child } from "./child.ts"
import { DevError, reasonOf } from "./errors.ts"
import type { NatsServer } from "./nats-server.ts"

/** The users of nats.conf, each with the rights it needs. */
export const NATS_USERS = ["operator", "relay", "authz", "command", "edge"] as const
export type NatsUser = (typeof NATS_USERS)[number]

export interface NatsOptions {
  readonly program: NatsServer
  readonly storeDir: string
  readonly port: number
  readonly passwords: Readonly<Record<NatsUser, string>>
  /** Another configuration file, with the same variables. */
  readonly config?: string
  /** More arguments for the program. */
  readonly args?: ReadonlyArray<string>
  /** More variables for the configuration file. */
  readonly env?: Readonly<Record<string, string>>
}

export interface EmbeddedNats {
  /** Starts it and waits until it takes clients. Closing the scope ends it in good order. May be used again after that. */
  readonly start: (onLine?: (line: string) => void) => Effect.Effect<Child, DevError, Scope.Scope>
  readonly url: (user: NatsUser) => string
}

const CONFIG = fileURLToPath(new URL("../nats/nats.conf", import.meta.url))
/** Milliseconds to write what is in memory and end. */
const STOP_MS = 15_000
/** Milliseconds to become ready: it reads its streams' index again. */
const READY_MS = 60_000

export const embeddedNats = (options: NatsOptions): EmbeddedNats => ({
  start: (onLine) => start(options, onLine),
  url: (user) => `nats://${user}:${options.passwords[user]}@127.0.0.1:${options.port}`,
})

const start = (options: NatsOptions, onLine?: (line: string) => void): Effect.Effect<Child, DevError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* Effect.try({
      try: () => mkdirSync(options.storeDir, { recursive: true, mode: 0o700 }),
      catch: (cause) => new DevError({ message: `The folder ${options.storeDir} cannot be made: ${reasonOf(cause)}.`, hint: "Set TIDELINE_DATA to a folder that can be written." }),
    })
    const passwords = NATS_USERS.map((user) => [`NATS_${user.toUpperCase()}_PASSWORD`, options.passwords[user]] as const)
    const child = yield* startChild({
      name: "nats",
      command: options.program.path,
      args: ["-c", options.config ?? CONFIG, ...(options.args ?? [])],
      env: {
        ...(process.env["PATH"] === undefined ? {} : { PATH: process.env["PATH"] }),
        ...Object.fromEntries(passwords),
        NATS_PORT: String(options.port),
        NATS_STORE: configText(options.storeDir),
        ...options.env,
      },
      stopSignal: "SIGINT",
      graceMs: STOP_MS,
      ...(onLine === undefined ? {} : { onLine }),
    })
    yield* child.line((line) => line.includes("Server is ready")).pipe(
      Effect.timeoutOrElse({
        duration: READY_MS,
        orElse: () => Effect.fail(new DevError({ message: `nats-server was not ready after ${READY_MS / 1000} s.`, hint: child.lastLines().slice(-5).join("\n") })),
      }),
    )
    return child
  })

/** A variable is read as a piece of configuration, so a path with blanks or backslashes is quoted. */
const configText = (text: string): string => (/^[A-Za-z/][\w/.-]*$/.test(text) ? text : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`)
