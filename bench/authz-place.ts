/** Where authz is measured: a nats-server with the two streams, access rows written as the relay writes them, authz as a process. No Postgres. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import { freePort } from "#dev/ports.ts"
import type { Child } from "#dev/child.ts"
import { serviceReady, startService } from "#dev/services.ts"
import type { Nats } from "#nats/connection.ts"
import { connectOnce } from "#nats/connection.ts"
import { CHANGES, changesConfig, mirrorReached, stateConfig } from "#nats/streams.ts"
import type { Pattern } from "#protocol/grant.ts"
import { appendChanges } from "#test/support/append.ts"
import type { AppendedChange } from "#test/support/append.ts"
import { startNats } from "#test/support/servers.ts"
import type { TestNats } from "#test/support/servers.ts"
import { BenchFailed } from "./benchmark.ts"
import { ask } from "./rounds.ts"

export interface AuthzPlace {
  readonly nats: TestNats
  readonly operator: Nats
  /** Writes rows; answers the last sequence. */
  readonly write: (rows: ReadonlyArray<AppendedChange>) => Effect.Effect<number, BenchFailed>
  /** Takes everything up to a sequence out of CHANGES: STATE alone has what is left of it. */
  readonly trim: (upTo: number) => Effect.Effect<void, BenchFailed>
}

/** Rows of one batch. */
const BATCH = 1_000

export const openAuthzPlace: Effect.Effect<AuthzPlace, BenchFailed, Scope.Scope> = Effect.gen(function* () {
  const nats = yield* Effect.acquireRelease(ask(() => startNats()), (server) => Effect.promise(() => server.stop()))
  const operator = yield* connectOnce(nats.url(), "bench").pipe(Effect.mapError((e) => new BenchFailed({ message: e.message, hint: e.hint })))
  yield* ask(() => operator.jetstream.streams.add({ ...changesConfig, deny_purge: false }))
  yield* ask(() => operator.jetstream.streams.add(stateConfig))
  return {
    nats,
    operator,
    write: (rows) =>
      ask(async () => {
        let last = 0
        for (let at = 0; at < rows.length; at += BATCH) last = await appendChanges(operator, rows.slice(at, at + BATCH))
        return last
      }),
    trim: (upTo) =>
      ask(async () => {
        if (!(await mirrorReached(operator, upTo, 60_000))) throw new Error("STATE did not follow")
        await operator.jetstream.streams.purge(CHANGES, { seq: upTo + 1 })
      }),
  }
})

/** A row of `authz.grants` as the relay publishes it. */
export const grantOf = (principal: string, over: Partial<Pattern>): AppendedChange => {
  const { scope, entity, id } = { scope: null, entity: null, id: null, ...over }
  const key = createHash("md5").update(`${principal} ${scope} ${entity} ${id}`).digest("hex")
  const row = { id: key, principal, scope, entity, entity_id: id, level: "EDIT", expires_at: null, granted_by: "bench", granted_at: "2026-01-01T12:00:00.123456+00:00" }
  return { scope: null, entity: "_grant", id: key, body: JSON.stringify(row) }
}

/** A row of `authz.members`. */
export const memberOf = (role: string, member: string): AppendedChange => {
  const row = { role, member, added_by: "bench", added_at: "2026-01-01T12:00:00.123456+00:00" }
  return { scope: null, entity: "_member", id: `${role},${member}`, body: JSON.stringify(row) }
}

export interface AuthzProcess extends Child {
  /** Milliseconds from its start until it was ready. */
  readonly readyAfterMs: number
}

/** An instance of authz, ready. */
export const startAuthz = ({ nats }: AuthzPlace): Effect.Effect<AuthzProcess, BenchFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const observePort = yield* freePort()
    const env = { TIDELINE_OBSERVE_PORT: String(observePort), TIDELINE_JWT_SECRET: "0123456789abcdef0123456789abcdef", NATS_URL: nats.url("authz") }
    const spec = { name: "authz", entry: "services/authz/main.ts", port: null, observePort, env }
    const began = performance.now()
    const child = yield* startService(spec, () => {})
    yield* serviceReady(spec)
    return { ...child, readyAfterMs: performance.now() - began }
  }).pipe(Effect.mapError((e) => new BenchFailed({ message: String(e.message), hint: "" })))
