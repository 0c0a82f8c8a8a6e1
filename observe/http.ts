/**
 * What an operator and a supervisor ask a service: `/healthz` alive, `/readyz` able to serve (503 and the reasons where it is not),
 * `/metrics` in Prometheus' text format. On loopback, on TIDELINE_OBSERVE_PORT; no port or port 0: no server.
 */
import { Config, Context, Effect, Schema } from "effect"
import type { Scope } from "effect"
// By its own path: the index beside it loads every exporter there is, which took a service a second to start.
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { ConfigProblem } from "./config-error.ts"
import { withFallback } from "./config-error.ts"

/** Why the service cannot serve now, one plain sentence each; empty where it can. */
export type Ready = () => ReadonlyArray<string>

export interface ObserveAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

/** The port could not be taken. */
export class ObserveError extends Schema.TaggedError<ObserveError>()("ObserveError", {
  message: Schema.String,
  hint: Schema.String,
}) {}

/** The answer to GET `path`, or null where it is none of the three. For a service that has an HTTP server of its own. */
export const observeAnswer = (path: string, service: string, ready: Ready): ObserveAnswer | null => {
  switch (path) {
    case "/healthz":
      return json(200, { status: "ok", service, pid: process.pid, uptimeSeconds: Math.floor(process.uptime()) })
    case "/readyz": {
      const reasons = ready()
      return json(reasons.length === 0 ? 200 : 503, { status: reasons.length === 0 ? "ready" : "not ready", service, reasons })
    }
    case "/metrics":
      return {
        status: 200,
        contentType: "text/plain; version=0.0.4; charset=utf-8",
        body: PrometheusMetrics.formatUnsafe(Context.empty()),
      }
    default:
      return null
  }
}

const json = (status: number, body: unknown): ObserveAnswer => ({
  status,
  contentType: "application/json; charset=utf-8",
  body: `${JSON.stringify(body)}\n`,
})

/** Serves the three on loopback for as long as the scope lives. Gives the port, or null where none was asked for. */
export const serveObserve = (service: string, ready: Ready): Effect.Effect<number | null, ConfigProblem | ObserveError, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* withFallback("TIDELINE_OBSERVE_PORT", "a port for /healthz, /readyz and /metrics, or 0 for none", portOrZero, 0)
    return port === 0 ? null : yield* listen(port, service, ready)
  })

const portOrZero = (variable: string) =>
  Config.schema(Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65_535 })), variable)

/** As `serveObserve`, on this port; 0 takes any free one. */
export const listen = (port: number, service: string, ready: Ready): Effect.Effect<number, ObserveError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>, ObserveError>((resume) => {
        const server = createServer((request, response) => {
          const path = (request.url ?? "/").split("?", 1)[0]!
          const answer = request.method === "GET" || request.method === "HEAD" ? observeAnswer(path, service, ready) : null
          const { status, contentType, body } = answer ?? json(404, { error: "not_found", hint: "/healthz, /readyz or /metrics" })
          response.writeHead(status, { "content-type": contentType, "cache-control": "no-store" })
          response.end(request.method === "HEAD" ? undefined : body)
        })
        server.once("error", (error) =>
          resume(Effect.fail(new ObserveError({ message: `port ${port}: ${error.message}`, hint: "set TIDELINE_OBSERVE_PORT to a free port, or to 0" }))),
        )
        server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        }),
    ),
    (server) => (server.address() as AddressInfo).port,
  )
