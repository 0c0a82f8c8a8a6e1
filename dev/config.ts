/** The settings of `npm start`, from the environment. The table stands in the README. */
import { Config, Effect } from "effect"
import { resolve } from "node:path"
import { SECRET_MIN_BYTES } from "#protocol/limits.ts"
import { ConfigProblem, optional, Switch, withFallback } from "#observe/config-error.ts"

export interface StartConfig {
  /** External servers; null: embedded ones. */
  readonly databaseUrl: string | null
  /** Straight to the external Postgres where `databaseUrl` leads to a pooler. */
  readonly directUrl: string | null
  readonly natsUrl: string | null
  /** Absolute. */
  readonly dataDir: string
  readonly webPort: number
  readonly edgePorts: ReadonlyArray<number>
  readonly jwtSecret: string | null
  readonly jwksUrl: string | null
  readonly demo: boolean
}

/** As many edges as one machine can use. */
const MOST_EDGES = 16

const portsOf = (text: string): ReadonlyArray<number> | null => {
  const ports = text.split(",").map((part) => (/^\d{1,5}$/.test(part.trim()) ? Number(part) : 0))
  const good = ports.every((port) => port > 0 && port < 65_536) && new Set(ports).size === ports.length && ports.length <= MOST_EDGES
  return good ? ports : null
}

const addressOf = (schemes: ReadonlyArray<string>) => (text: string): string | null => {
  const good = text.split(",").every((part) => URL.canParse(part.trim()) && schemes.includes(new URL(part.trim()).protocol))
  return good ? text : null
}

const read = <A>(variable: string, shouldBe: string, parse: (text: string) => A | null): Effect.Effect<A | null, ConfigProblem> =>
  optional(variable, shouldBe, Config.String).pipe(
    Effect.flatMap((text) => {
      if (text === undefined) return Effect.succeed(null)
      const value = parse(text)
      return value === null ? Effect.fail(new ConfigProblem({ variable, shouldBe })) : Effect.succeed(value)
    }),
  )

export const startConfig: Effect.Effect<StartConfig, ConfigProblem> = Effect.gen(function* () {
  const webPort = yield* withFallback("TIDELINE_PORT", "a port, 1 to 65535", Config.Port, 8080)
  const edgePorts = (yield* read("TIDELINE_EDGE_PORTS", `ports with commas, each once, at most ${MOST_EDGES}, for example 4001,4002`, portsOf)) ?? [4001, 4002]
  if (edgePorts.includes(webPort)) {
    return yield* new ConfigProblem({ variable: "TIDELINE_EDGE_PORTS", shouldBe: `ports other than TIDELINE_PORT (${webPort})` })
  }
  const jwtSecret = yield* read("TIDELINE_JWT_SECRET", `a secret of at least ${SECRET_MIN_BYTES} bytes`, (text) => (Buffer.byteLength(text) >= SECRET_MIN_BYTES ? text : null))
  const jwksUrl = yield* read("TIDELINE_JWKS_URL", "the http or https address of a key set", addressOf(["http:", "https:"]))
  if (jwtSecret !== null && jwksUrl !== null) return yield* new ConfigProblem({ variable: "TIDELINE_JWKS_URL", shouldBe: "not set together with TIDELINE_JWT_SECRET" })
  // Demo tokens are signed with the secret: where keys come from elsewhere there are none.
  const demo = yield* withFallback("TIDELINE_DEMO", "1 or 0", Switch, jwksUrl === null)
  if (demo && jwksUrl !== null) return yield* new ConfigProblem({ variable: "TIDELINE_DEMO", shouldBe: "0 with TIDELINE_JWKS_URL: demo tokens are signed with TIDELINE_JWT_SECRET" })
  const databaseUrl = yield* read("DATABASE_URL", "an address like postgres://user:password@host:5432/database", addressOf(["postgres:", "postgresql:"]))
  const directUrl = yield* read("TIDELINE_DIRECT_DATABASE_URL", "an address like postgres://user:password@host:5432/database", addressOf(["postgres:", "postgresql:"]))
  if (directUrl !== null && databaseUrl === null) return yield* new ConfigProblem({ variable: "TIDELINE_DIRECT_DATABASE_URL", shouldBe: "not set without DATABASE_URL: it leads past the pooler there" })
  return {
    databaseUrl,
    directUrl,
    natsUrl: yield* read("NATS_URL", "an address like nats://user:password@host:4222, several with commas", addressOf(["nats:", "tls:"])),
    dataDir: resolve(yield* withFallback("TIDELINE_DATA", "a folder", Config.String, ".tideline")),
    webPort,
    edgePorts,
    jwtSecret,
    jwksUrl,
    demo,
  }
})
