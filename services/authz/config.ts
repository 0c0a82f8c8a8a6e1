/** What authz is told by its environment. */
import { Config, Effect, Redacted } from "effect"
import { ConfigProblem, Switch, natsUrl, optional, withFallback } from "#observe/config-error.ts"
import type { TokenKeys } from "./token.ts"
import { secretIsShort } from "./token.ts"
import { SECRET_MIN_BYTES } from "#protocol/limits.ts"

export interface AuthzConfig {
  readonly natsUrl: Redacted.Redacted<string>
  readonly keys: TokenKeys
  readonly demo: boolean
}

const SECRET = "TIDELINE_JWT_SECRET"
const JWKS = "TIDELINE_JWKS_URL"
const secretShouldBe = `an HS256 secret of at least ${SECRET_MIN_BYTES} bytes`

/** Fails with the first setting that is missing or wrong. */
export const authzConfig: Effect.Effect<AuthzConfig, ConfigProblem> = Effect.gen(function* () {
  const nats = yield* natsUrl
  const demo = yield* withFallback("TIDELINE_DEMO", "1 to hand out demo tokens, or 0", Switch, false)
  const secret = yield* optional(SECRET, secretShouldBe, Config.Redacted)
  const url = yield* optional(JWKS, "the http or https address of a JSON Web Key Set", Config.URL)
  if (secret !== undefined && url !== undefined) return yield* new ConfigProblem({ variable: JWKS, shouldBe: `not set together with ${SECRET}` })
  if (secret !== undefined) {
    const text = Redacted.value(secret)
    if (secretIsShort(text)) return yield* new ConfigProblem({ variable: SECRET, shouldBe: secretShouldBe })
    return { natsUrl: nats, demo, keys: { type: "secret", secret: text } }
  }
  if (url === undefined) return yield* new ConfigProblem({ variable: SECRET, shouldBe: `required: ${secretShouldBe}, or ${JWKS} with the address of a key set` })
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return yield* new ConfigProblem({ variable: JWKS, shouldBe: "the http or https address of a JSON Web Key Set" })
  if (url.username !== "" || url.password !== "") return yield* new ConfigProblem({ variable: JWKS, shouldBe: "an address without user and password" })
  if (demo) return yield* new ConfigProblem({ variable: "TIDELINE_DEMO", shouldBe: `off with ${JWKS}: demo tokens are signed with ${SECRET}` })
  return { natsUrl: nats, demo, keys: { type: "jwks", url } }
})
