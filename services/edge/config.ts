/** What an edge is told by its environment. */
import type { Redacted } from "effect"
import { Config, Effect } from "effect"
import { ConfigProblem, Switch, optional, required, withFallback } from "#observe/config-error.ts"
import type { Origins } from "./origins.ts"
import { parseOrigins } from "./origins.ts"

export interface EdgeConfig {
  readonly natsUrl: Redacted.Redacted<string>
  readonly host: string
  readonly port: number
  readonly origins: Origins
  readonly demo: boolean
}

const originsShouldBe = "origins with commas, for example https://app.example.com,http://localhost:5173"

/** Fails with the first setting that is missing or wrong. */
export const edgeConfig: Effect.Effect<EdgeConfig, ConfigProblem> = Effect.gen(function* () {
  const natsUrl = yield* required("NATS_URL", "nats://user:password@host:port, several with commas", Config.Redacted)
  const port = yield* required("TIDELINE_EDGE_PORT", "a port, 1 to 65535", Config.Port)
  const host = yield* withFallback("TIDELINE_EDGE_HOST", "an address to listen on", Config.String, "127.0.0.1")
  const text = yield* optional("TIDELINE_ORIGINS", originsShouldBe, Config.String)
  const origins = parseOrigins(text ?? null)
  if (origins === null) return yield* new ConfigProblem({ variable: "TIDELINE_ORIGINS", shouldBe: originsShouldBe })
  const demo = yield* withFallback("TIDELINE_DEMO", "1 to hand out demo tokens, or 0", Switch, false)
  return { natsUrl, host, port, origins, demo }
})
