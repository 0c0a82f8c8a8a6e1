/**
 * The whole of Tideline on one machine: Postgres and nats-server (embedded, or those of DATABASE_URL and NATS_URL), the migrated schema,
 * and every service as a supervised process. `npm start` runs one, and so does every end-to-end test.
 *
 * Order: servers, schema, services; the scope ends them the other way round. Of what a service prints only its unexpected end reaches
 * the screen; all of it is in `<dataDir>/logs`.
 */
import { Effect, Exit, Scope } from "effect"
import { migrate } from "#db/migrate.ts"
import type { Migrated } from "#db/migrate.ts"
import type { StartConfig } from "./config.ts"
import { DevError } from "./errors.ts"
import { keptPorts } from "./kept-ports.ts"
import { requireFree } from "./ports.ts"
import { makeRegistry } from "./registry.ts"
import type { Registry } from "./registry.ts"
import { letSignIn } from "./roles.ts"
import { takeDataFolder } from "./run-file.ts"
import type { Screen } from "./screen.ts"
import { rolePassword, secretsOf } from "./secrets.ts"
import { serviceReady, serviceSpecs, startService } from "./services.ts"
import { startDatabase, startNats } from "./stack-servers.ts"
import type { Supervised } from "./supervise.ts"
import { webBuild } from "./web-build.ts"

export interface StackSettings extends StartConfig {
  /** false: no fsync in the embedded Postgres. */
  readonly durable: boolean
}

export interface Stack extends Pick<Registry, "process" | "processes"> {
  readonly webUrl: string
  readonly edgeUrls: ReadonlyArray<string>
  /** As superuser and as operator. */
  readonly databaseUrl: string
  readonly natsUrl: string
  /** What signs tokens; null where keys come from TIDELINE_JWKS_URL. */
  readonly jwtSecret: string | null
}

/** The services' Postgres roles, as the migrations make them. */
export const SERVICE_ROLES = ["tide_relay", "tide_command"] as const

/** Succeeds when every service is ready. Closing the scope ends all of it. */
export const runStack = (settings: StackSettings, screen: Screen): Effect.Effect<Stack, DevError, Scope.Scope> =>
  Effect.gen(function* () {
    const left = yield* takeDataFolder(settings.dataDir)
    if (left.length > 0) screen.note(`ended what an earlier start had left running: ${left.join(", ")}`)
    yield* requireFree(settings.webPort, "TIDELINE_PORT")
    for (const port of settings.edgePorts) yield* requireFree(port, "TIDELINE_EDGE_PORTS")
    const ports = yield* keptPorts(settings.dataDir, [settings.webPort, ...settings.edgePorts])
    const secrets = yield* secretsOf(settings.dataDir)
    const registry = yield* makeRegistry(settings, screen)

    const place = { settings, screen, registry, scope: yield* tier }
    const [databaseUrl, natsUrl] = yield* Effect.all(
      [startDatabase({ ...place, port: ports.postgres }, secrets.postgres, settings.durable), startNats({ ...place, port: ports.nats }, secrets.nats)],
      { concurrency: "unbounded" },
    )
    registry.tell({ databaseUrl, natsUrl: natsUrl("operator") })

    yield* screen.step(settings.demo ? "schema and demo workspace" : "schema", migrated(databaseUrl, settings.demo), ({ applied }) => (applied.length === 0 ? "up to date" : `${applied.length} migrations applied`))
    const passwords = Object.fromEntries(SERVICE_ROLES.map((role) => [role, rolePassword(role, secrets, settings.databaseUrl)]))
    yield* letSignIn(databaseUrl, passwords)
    const web = yield* screen.step("web app", webBuild, (build) => (build.fresh ? "built" : "unchanged"))

    const jwtSecret = settings.jwksUrl === null ? (settings.jwtSecret ?? secrets.TIDELINE_JWT_SECRET) : null
    const specs = serviceSpecs({
      databaseUrl: (role) => withCredentials(databaseUrl, role, passwords[role]!),
      directUrl: (role) => withCredentials(settings.directUrl ?? databaseUrl, role, passwords[role]!),
      natsUrl,
      webPort: settings.webPort,
      edgePorts: settings.edgePorts,
      observePorts: ports,
      webRoot: web.folder,
      tokenKeys: jwtSecret === null ? { TIDELINE_JWKS_URL: settings.jwksUrl! } : { TIDELINE_JWT_SECRET: jwtSecret },
      demo: settings.demo,
    })
    const [behind, inFront] = [yield* tier, yield* tier]
    const services: Array<Supervised> = []
    for (const spec of specs) {
      const scope = spec.port === null ? behind : inFront
      services.push(yield* registry.add(spec.name, spec, (onLine) => startService(spec, onLine), serviceReady(spec)).pipe(Scope.provide(scope)))
    }
    yield* Effect.forEach(services, ({ name, whenReady }) => screen.step(name, whenReady, () => registry.where(name)), { concurrency: "unbounded", discard: true })

    return {
      webUrl: `http://127.0.0.1:${settings.webPort}`,
      edgeUrls: settings.edgePorts.map((port) => `http://127.0.0.1:${port}`),
      databaseUrl,
      natsUrl: natsUrl("operator"),
      jwtSecret,
      processes: registry.processes,
      process: registry.process,
    }
  })

/** What ends together: all at once, and wholly before whatever was started earlier. */
const tier: Effect.Effect<Scope.Scope, never, Scope.Scope> = Effect.acquireRelease(Scope.make("parallel"), (scope) => Scope.close(scope, Exit.void))

const migrated = (url: string, demo: boolean): Effect.Effect<Migrated, DevError> =>
  migrate(url, { demo }).pipe(Effect.mapError((error) => new DevError({ message: `The schema could not be brought up to date: ${error.message}`, hint: error.hint })))

const withCredentials = (url: string, user: string, password: string): string => {
  const address = new URL(url)
  address.username = user
  address.password = password
  return address.href
}
