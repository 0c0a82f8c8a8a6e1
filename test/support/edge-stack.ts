/**
 * An edge's surroundings without Postgres: a nats-server with the streams, authz in this process, and a writer that writes the log as the
 * relay would. Edges run in this process too, as many as a test wants.
 */
import { jetstream } from "@nats-io/jetstream"
import { headers as natsHeaders } from "@nats-io/nats-core"
import { Effect, Exit, Logger, Scope } from "effect"
import type { Nats } from "#nats/connection.ts"
import { connectOnce } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { applyStreams, mirrorReached } from "#nats/streams.ts"
import { encodeHeader, formatTransaction, HEADER } from "#protocol/event.ts"
import { DRAIN_MS } from "#protocol/limits.ts"
import { changeSubject } from "#protocol/subject.ts"
import { answer } from "../../services/authz/answer.ts"
import { makeLiveFold } from "../../services/authz/live-fold.ts"
import { makeTokens } from "../../services/authz/token.ts"
import type { Edge } from "../../services/edge/edge.ts"
import { runEdge } from "../../services/edge/edge.ts"
import { httpApi } from "../../services/edge/http.ts"
import { listen } from "../../services/edge/listen.ts"
import { parseOrigins } from "../../services/edge/origins.ts"
import { edgeServices } from "../../services/edge/services.ts"
import type { Services } from "../../services/edge/world.ts"
import type { TestNats } from "./servers.ts"
import { startNats } from "./servers.ts"
import { until } from "./until.ts"

export const SECRET = "0123456789abcdef0123456789abcdef"

interface WrittenRow {
  readonly entity: string
  readonly id: string
  readonly scope?: string | null
  /** Null: deleted. */
  readonly row: unknown
  readonly before?: unknown
  readonly user?: string
  readonly mutation?: string
}

export interface TestEdge {
  readonly port: number
  readonly edge: Edge
  readonly stop: () => Promise<void>
}

export interface EdgeStack {
  readonly nats: TestNats
  readonly operator: Nats
  readonly startEdge: (over?: Partial<Services> & { readonly origins?: string; readonly drainMs?: number }) => Promise<TestEdge>
  /** `viewBytes`: what one user's patterns may come to. */
  readonly startAuthz: (over?: { readonly viewBytes?: number }) => Promise<() => Promise<void>>
  /** Writes one transaction; answers its last sequence, once STATE has it. */
  readonly write: (...rows: ReadonlyArray<WrittenRow>) => Promise<number>
  readonly grant: (principal: string, over?: Partial<GrantFields>) => Promise<number>
  readonly revoke: (principal: string, over?: Partial<GrantFields>) => Promise<number>
  /** Of a session of its own unless one is named. */
  readonly token: (user: string, session?: string) => Promise<string>
  /** Answers its sequence. */
  readonly signOut: (user: string, session?: string | null, at?: number) => Promise<number>
  readonly stop: () => Promise<void>
}

interface GrantFields {
  readonly scope: string | null
  readonly entity: string | null
  readonly entity_id: string | null
  readonly expires_at: string | null
}

const inScope = async <A>(use: Effect.Effect<A, unknown, Scope.Scope>): Promise<{ readonly value: A; readonly stop: () => Promise<void> }> => {
  const scope = Scope.makeUnsafe()
  const value = await Effect.runPromise(use.pipe(Effect.provide(Logger.layer([])), Scope.provide(scope)))
  return { value, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

export const startEdgeStack = async (entities: Readonly<Record<string, string | null>>): Promise<EdgeStack> => {
  const nats = await startNats()
  const { value: operator, stop: disconnect } = await inScope(connectOnce(nats.url(), "test"))
  await applyStreams(operator)
  const tokens = makeTokens({ type: "secret", secret: SECRET }, Date.now)
  let xid = 100

  const write: EdgeStack["write"] = async (...rows) => {
    xid += 1
    let seq = 0
    for (const [i, { entity, id, scope = null, row, before, user, mutation }] of rows.entries()) {
      const headers = natsHeaders()
      headers.set(HEADER.operation, row === null ? "DELETE" : before === undefined ? "INSERT" : "UPDATE")
      headers.set(HEADER.transaction, formatTransaction({ xid: String(xid), position: i + 1, count: rows.length }))
      headers.set(HEADER.at, new Date().toISOString())
      if (before !== undefined) headers.set(HEADER.before, encodeHeader(JSON.stringify(before)))
      if (user !== undefined) headers.set(HEADER.user, encodeHeader(user))
      if (mutation !== undefined) headers.set(HEADER.mutation, encodeHeader(mutation))
      const body = row === null ? undefined : JSON.stringify(row)
      seq = (await jetstream(operator.connection).publish(changeSubject({ scope, entity, id }), body, { headers })).seq
    }
    await mirrorReached(operator, seq, 5_000)
    return seq
  }
  const grantRow = (principal: string, over: Partial<GrantFields> = {}) => {
    const fields = { scope: null, entity: null, entity_id: null, expires_at: null, ...over }
    return { id: `${principal}:${fields.scope}:${fields.entity}:${fields.entity_id}`, principal, level: "VIEW", ...fields }
  }

  await write({ entity: "_epoch", id: "1-aa", row: { id: "1-aa", previous: null, firstSeq: 1, reason: "the first", at: new Date().toISOString() } })
  for (const [entity, scopeColumn] of Object.entries(entities))
    await write({ entity: "_entity", id: entity, row: { entity, table_name: `app.${entity}`, key_columns: ["id"], scope_column: scopeColumn, json_schema: { type: "object" } } })

  const stops: Array<() => Promise<void>> = []
  const startAuthz: EdgeStack["startAuthz"] = async (over = {}) => {
    const { stop } = await inScope(
      Effect.gen(function* () {
        const connection = yield* connectOnce(nats.url("authz"), "authz")
        const log = jetStreamLog(connection)
        const fold = yield* makeLiveFold(log)
        yield* answer(connection, { fold, log, demo: true, now: Date.now, tokens, ...over })
        yield* Effect.promise(() => connection.connection.flush())
      }),
    )
    stops.push(stop)
    return stop
  }
  return {
    nats,
    operator,
    startAuthz,
    write,
    token: (user, session) => tokens.issue(user, session),
    signOut: (user, session = null, at = Date.now()) => {
      const id = JSON.stringify([user, session])
      return write({ entity: "_sign_out", id, row: { id, user_id: user, session, signed_out_at: new Date(at).toISOString(), signed_out_by: null } })
    },
    grant: (principal, over) => {
      const row = grantRow(principal, over)
      return write({ entity: "_grant", id: row.id, row })
    },
    revoke: (principal, over) => {
      const before = grantRow(principal, over)
      return write({ entity: "_grant", id: before.id, row: null, before })
    },
    startEdge: async ({ origins, drainMs, ...over } = {}) => {
      const { value, stop } = await inScope(
        Effect.gen(function* () {
          const connection = yield* connectOnce(nats.url("edge"), "edge")
          const services: Services = {
            ...edgeServices(connection, (cause) => {
              throw cause
            }),
            ...over,
          }
          const edge = yield* runEdge(services)
          const allowed = parseOrigins(origins ?? null)!
          const http = httpApi({ edge, services, origins: allowed, demo: true, ready: () => edge.reasons() })
          const port = yield* listen({ host: "127.0.0.1", port: 0, origins: allowed, edge, http, drainMs: drainMs ?? DRAIN_MS })
          return { edge, port }
        }),
      )
      stops.push(stop)
      await until(() => value.edge.world !== null, { what: "the edge is ready" })
      return { ...value, stop }
    },
    stop: async () => {
      for (const stop of stops.reverse()) await stop()
      await disconnect()
      await nats.stop()
    },
  }
}
