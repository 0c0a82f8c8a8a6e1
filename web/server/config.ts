/** What the web server is told by its environment. */
import { Config, Effect } from "effect"
import { fileURLToPath } from "node:url"
import { ConfigProblem, optional, withFallback } from "#observe/config-error.ts"

export interface WebConfig {
  readonly host: string
  readonly port: number
  /** Where the edges are, `http://host:port` each. */
  readonly edges: ReadonlyArray<URL>
  /** The built app: index.html and assets. */
  readonly root: string
}

const edgesShouldBe = "ports or host:port with commas, for example 4001,4002"

const edgeOf = (text: string): URL | null => {
  const part = text.trim()
  const address = /^\d{1,5}$/.test(part) ? `http://127.0.0.1:${part}` : `http://${part}`
  if (part === "" || !URL.canParse(address)) return null
  const url = new URL(address)
  return url.port === "" || url.pathname !== "/" ? null : url
}

export const webConfig: Effect.Effect<WebConfig, ConfigProblem> = Effect.gen(function* () {
  const text = (yield* optional("TIDELINE_EDGE_PORTS", edgesShouldBe, Config.String)) ?? "4001,4002"
  const edges = text.split(",").map(edgeOf)
  if (!edges.every((edge) => edge !== null)) return yield* new ConfigProblem({ variable: "TIDELINE_EDGE_PORTS", shouldBe: edgesShouldBe })
  return {
    host: yield* withFallback("TIDELINE_WEB_HOST", "an address to listen on", Config.String, "127.0.0.1"),
    port: yield* withFallback("TIDELINE_PORT", "a port, 1 to 65535", Config.Port, 8080),
    edges,
    root: yield* withFallback("TIDELINE_WEB_ROOT", "the folder of the built web app", Config.String, fileURLToPath(new URL("../dist", import.meta.url))),
  }
})
