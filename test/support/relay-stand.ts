/**
 * What a live test of the relay stands on: Postgres with a tracked table `item`, nats-server, the log. Relays that a test started end
 * with it at the latest.
 *
 *     const stand = relayStand()
 *     const relay = await stand.start()
 */
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterAll, afterEach, beforeAll } from "vitest"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import type { RelayProcess } from "./relay.ts"
import { startRelay } from "./relay.ts"
import type { TestNats, TestPostgres } from "./servers.ts"
import { migratedPostgres, startNats } from "./servers.ts"
import { until } from "./until.ts"

export interface RelayStand {
  readonly pg: TestPostgres
  readonly server: TestNats
  /** As superuser, a few connections. */
  readonly sql: Sql
  readonly log: Log
  /** A relay that works, with more settings if given. */
  readonly start: (settings?: Readonly<Record<string, string>>) => Promise<RelayProcess>
}

/** Filled before the first test of the file. */
export const relayStand = (): RelayStand => {
  const stand = {} as { -readonly [name in keyof RelayStand]: RelayStand[name] }
  const scope = Scope.makeUnsafe()
  const relays = new Set<RelayProcess>()
  beforeAll(async () => {
    ;[stand.pg, stand.server] = await Promise.all([migratedPostgres(), startNats()])
    stand.sql = postgres(stand.pg.url(), { max: 4, onnotice: () => {} })
    stand.log = jetStreamLog(await Effect.runPromise(Scope.provide(connectNats(stand.server.url(), "test"), scope)))
    await stand.sql`create table public.item (id int primary key, project text, v int)`
    await stand.sql`select tide.track('public.item', entity => 'item', scope => 'project')`
  }, 90_000)
  afterEach(async () => {
    await Promise.all([...relays].map((relay) => relay.end("SIGKILL")))
    relays.clear()
  })
  afterAll(async () => {
    await stand.sql.end()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await Promise.all([stand.pg.stop(), stand.server.stop()])
  })
  stand.start = async (settings) => {
    const relay = await startRelay(stand.pg.url("tide_relay"), stand.server.url("relay"), settings)
    relays.add(relay)
    await until(async () => (await relay.reasons())?.length === 0 && (await relay.metric("tideline_relay_active")) === 1, { what: "the relay works", deadline: 20_000 })
    return relay
  }
  return stand
}
