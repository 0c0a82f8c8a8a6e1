/** What edges and other services with an HTTP side say of themselves: /readyz and /metrics. */
import { Config, Effect, Schema } from "effect"
import type { DemoRun } from "../demo-run.ts"
import { UsageError } from "../failure.ts"

export interface EdgeFacts {
  readonly name: string
  readonly url: string
  /** False where nobody answered. */
  readonly reachable: boolean
  /** Why it cannot serve now; empty where it can. */
  readonly reasons: ReadonlyArray<string>
  readonly connections: number | null
  /** The stream sequence up to which its live connections are served. */
  readonly position: number | null
  /** Milliseconds: how old its view of the stream may be. */
  readonly lagMs: number | null
}

/** Milliseconds an edge may take to answer. */
const ANSWER_MS = 2_000
const CONNECTIONS = "tideline_edge_connections"
const POSITION = "tideline_edge_position"
const LAG = "tideline_edge_lag_milliseconds"

/** The edges to ask: those named, else the demo's, else TIDELINE_EDGE_PORTS on this machine. */
export const edgeAddresses = (
  named: string | undefined,
  run: DemoRun | null,
): Effect.Effect<ReadonlyArray<{ readonly name: string; readonly url: string }>, UsageError> =>
  Effect.gen(function* () {
    if (named !== undefined) {
      const urls = named.split(",").map((text) => text.trim())
      const bad = urls.find((url) => !/^https?:\/\//.test(url) || !URL.canParse(url))
      if (bad !== undefined) return yield* new UsageError({ message: `--edges ${bad} is not an address.`, hint: "http://host:port, several with commas." })
      return urls.map((url) => ({ name: new URL(url).host, url: new URL(url).origin }))
    }
    const edges = run?.processes.filter((p) => p.name.startsWith("edge") && p.port !== null) ?? []
    if (edges.length > 0) return edges.map((p) => ({ name: p.name, url: `http://127.0.0.1:${p.port}` }))
    const ports = yield* Config.String("TIDELINE_EDGE_PORTS").pipe(Config.withDefault("4001,4002"), Effect.orDie)
    return ports.split(",").map((port, i) => ({ name: `edge-${i + 1}`, url: `http://127.0.0.1:${port.trim()}` }))
  })

/** Never fails: an edge that does not answer is a fact like another. */
export const readEdge = ({ name, url }: { readonly name: string; readonly url: string }): Effect.Effect<EdgeFacts> =>
  Effect.promise(async () => {
    try {
      const [ready, metrics] = await Promise.all([get(`${url}/readyz`), get(`${url}/metrics`)])
      return { name, url, reachable: true, reasons: reasonsOf(ready), connections: metric(metrics, CONNECTIONS), position: metric(metrics, POSITION), lagMs: metric(metrics, LAG) }
    } catch {
      return { name, url, reachable: false, reasons: [SILENT], connections: null, position: null, lagMs: null }
    }
  })

/** Why the service there cannot serve now; empty where it can. */
export const readyReasons = (url: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(() => get(`${url}/readyz`).then(reasonsOf, () => [SILENT]))

const SILENT = "it does not answer"

const get = async (url: string): Promise<string> => (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) })).text()

const reasonsOf = (body: string): ReadonlyArray<string> => {
  const decoded = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ reasons: Schema.Array(Schema.String) })))(body)
  return decoded._tag === "Some" ? decoded.value.reasons : ["its /readyz is not one of Tideline's"]
}

/** The sum of a metric over its labels, or null where it is not there. */
export const metric = (text: string, name: string): number | null => {
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, "gm"))].map((m) => Number(m[1]))
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0)
}
