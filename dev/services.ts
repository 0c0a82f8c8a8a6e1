/** Our own processes: what each is told, and where it says that it is ready. A service gets only the addresses and secrets it needs. */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { STOP_DEADLINE_MS } from "#protocol/limits.ts"
import { startChild } from "./child.ts"
import type { Child } from "./child.ts"
import type { DevError } from "./errors.ts"
import type { NatsUser } from "./nats.ts"

export interface ServiceSpec {
  readonly name: string
  /** Its program, from the root of the project. */
  readonly entry: string
  /** The port it serves its clients on; null where it has none. */
  readonly port: number | null
  /** The port of /healthz, /readyz and /metrics. */
  readonly observePort: number
  readonly env: Readonly<Record<string, string>>
}

export interface ServiceSettings {
  readonly databaseUrl: (role: string) => string
  /** Past the pooler, where one stands there. */
  readonly directUrl: (role: string) => string
  readonly natsUrl: (user: NatsUser) => string
  readonly webPort: number
  readonly edgePorts: ReadonlyArray<number>
  readonly observePorts: { readonly relay: number; readonly authz: number; readonly command: number }
  /** Where the web app was built to. */
  readonly webRoot: string
  /** TIDELINE_JWT_SECRET or TIDELINE_JWKS_URL. */
  readonly tokenKeys: Readonly<Record<string, string>>
  readonly demo: boolean
}

export const ROOT = fileURLToPath(new URL("..", import.meta.url))

/** In the order of their start; they end the other way round. */
export const serviceSpecs = (settings: ServiceSettings): ReadonlyArray<ServiceSpec> => {
  const demo = { TIDELINE_DEMO: settings.demo ? "1" : "0" }
  const observe = (port: number) => ({ TIDELINE_OBSERVE_PORT: String(port) })
  const { relay, authz, command } = settings.observePorts
  return [
    {
      name: "relay",
      entry: "services/outbox-relay/main.ts",
      port: null,
      observePort: relay,
      env: { ...observe(relay), DATABASE_URL: settings.databaseUrl("tide_relay"), TIDELINE_DIRECT_DATABASE_URL: settings.directUrl("tide_relay"), NATS_URL: settings.natsUrl("relay") },
    },
    {
      name: "authz",
      entry: "services/authz/main.ts",
      port: null,
      observePort: authz,
      env: { ...observe(authz), ...demo, ...settings.tokenKeys, NATS_URL: settings.natsUrl("authz") },
    },
    {
      name: "command",
      entry: "services/command/main.ts",
      port: null,
      observePort: command,
      env: { ...observe(command), DATABASE_URL: settings.databaseUrl("tide_command"), NATS_URL: settings.natsUrl("command") },
    },
    ...settings.edgePorts.map((port, index) => ({
      name: `edge-${index + 1}`,
      entry: "services/edge/main.ts",
      port,
      observePort: port,
      env: { ...demo, NATS_URL: settings.natsUrl("edge"), TIDELINE_EDGE_PORT: String(port), TIDELINE_EDGE_HOST: "127.0.0.1" },
    })),
    {
      name: "web",
      entry: "web/server/main.ts",
      port: settings.webPort,
      observePort: settings.webPort,
      env: { TIDELINE_PORT: String(settings.webPort), TIDELINE_EDGE_PORTS: settings.edgePorts.join(","), TIDELINE_WEB_ROOT: settings.webRoot },
    },
  ]
}

/** What a Node process needs of our environment. */
const SYSTEM = ["PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SystemRoot", "TZ", "LANG", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"]
/** Ours that are not for every service: each gets its own. */
const NOT_HANDED_ON = new Set(["TIDELINE_JWT_SECRET", "TIDELINE_JWKS_URL", "TIDELINE_DATA", "TIDELINE_PORT", "TIDELINE_EDGE_PORTS", "TIDELINE_DEMO", "TIDELINE_SUPERVISED", "TIDELINE_DIRECT_DATABASE_URL"])

/** The settings that people may give any service (its bounds, the log level), and what its system needs. */
export const inherited = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && (SYSTEM.includes(entry[0]) || entry[0].startsWith("OTEL_") || (entry[0].startsWith("TIDELINE_") && !NOT_HANDED_ON.has(entry[0]))),
    ),
  )

export const startService = (spec: ServiceSpec, onLine: (line: string) => void, env: NodeJS.ProcessEnv = process.env): Effect.Effect<Child, DevError, Scope.Scope> =>
  startChild({
    name: spec.name,
    command: process.execPath,
    args: [join(ROOT, spec.entry)],
    cwd: ROOT,
    env: { ...inherited(env), ...spec.env, TIDELINE_SUPERVISED: "1" },
    leash: true,
    stopSignal: "SIGTERM",
    graceMs: STOP_DEADLINE_MS + 2_000,
    onLine,
  })

/** Milliseconds between two questions to a service that is not ready yet. */
const ASK_MS = 50

/** Succeeds when the service says that it can serve. */
export const serviceReady = (spec: ServiceSpec): Effect.Effect<void> =>
  Effect.tryPromise(async (signal) => {
    const answer = await fetch(`http://127.0.0.1:${spec.observePort}/readyz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) })
    await answer.arrayBuffer()
    if (!answer.ok) throw new Error(`${spec.name} is not ready`)
  }).pipe(Effect.retry(Schedule.spaced(ASK_MS)), Effect.orDie)
