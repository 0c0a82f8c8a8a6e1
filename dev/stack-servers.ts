/** The two servers of a stack: the embedded ones, under supervision, or those that DATABASE_URL and NATS_URL name, checked before anything is built on them. */
import { Effect, Scope } from "effect"
import { join } from "node:path"
import type { StartConfig } from "./config.ts"
import type { DevError } from "./errors.ts"
import { checkDatabase, checkNats } from "./external.ts"
import { embeddedNats } from "./nats.ts"
import type { NatsUser } from "./nats.ts"
import { natsServer } from "./nats-server.ts"
import { embeddedPostgres } from "./postgres.ts"
import type { Registry } from "./registry.ts"
import type { Screen } from "./screen.ts"

export interface Place {
  readonly settings: StartConfig
  readonly screen: Screen
  readonly registry: Registry
  /** The server ends with it. */
  readonly scope: Scope.Scope
  readonly port: number
}

/** The superuser's address. */
export const startDatabase = ({ settings, screen, registry, scope, port }: Place, password: string, durable: boolean): Effect.Effect<string, DevError> => {
  const external = settings.databaseUrl
  if (external !== null) return screen.step("Postgres", checkDatabase(external), (version) => `${version} of DATABASE_URL`).pipe(Effect.as(external))
  const begin = Effect.gen(function* () {
    const server = yield* embeddedPostgres({ dataDir: join(settings.dataDir, "postgres"), port, password, durable })
    const supervised = yield* registry.add("postgres", { port, observePort: null }, server.start, Effect.void).pipe(Scope.provide(scope))
    yield* supervised.whenReady
    return server
  })
  return screen.step("Postgres", begin, ({ version }) => `${version} embedded, 127.0.0.1:${port}`).pipe(Effect.map((server) => server.url()))
}

/** The address for each user; an external server has one for all, unless each service is given its own. */
export const startNats = ({ settings, screen, registry, scope, port }: Place, passwords: Readonly<Record<NatsUser, string>>): Effect.Effect<(user: NatsUser) => string, DevError> => {
  const external = settings.natsUrl
  if (external !== null) return screen.step("nats-server", checkNats(external), (version) => `${version} of NATS_URL`).pipe(Effect.as(() => external))
  const begin = Effect.gen(function* () {
    const program = yield* natsServer(screen.note)
    const server = embeddedNats({ program, storeDir: join(settings.dataDir, "nats"), port, passwords })
    const supervised = yield* registry.add("nats", { port, observePort: null }, server.start, Effect.void).pipe(Scope.provide(scope))
    yield* supervised.whenReady
    return { program, server }
  })
  return screen
    .step("nats-server", begin, ({ program }) => `${program.version} from ${program.origin}, 127.0.0.1:${port}`)
    .pipe(Effect.map(({ server }) => server.url))
}
