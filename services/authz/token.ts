/**
 * Who is it, until when: a JSON Web Token becomes a user id. This is the only process that holds the secret or knows the keys.
 *
 * The algorithms are fixed by what is configured, never taken from the token: HS256 with a secret; RS256, ES256 and EdDSA with a
 * key set. So `none` is refused, and a public key is never taken for a secret. `exp` and `sub` are required. `nbf` may lie CLOCK_SKEW_S
 * ahead, for clocks differ; `exp` has no grace, for the edge ends the connection by it.
 */
import { randomUUID } from "node:crypto"
import { SignJWT, createRemoteJWKSet, errors, jwtVerify } from "jose"
import type { JWTPayload, JWTVerifyOptions } from "jose"
import type { TokenReply } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import { CLOCK_SKEW_S, DEMO_TOKEN_S, JWKS_TIMEOUT_MS, SECRET_MIN_BYTES, TOKEN_MAX_BYTES, USER_ID_CHARS } from "#protocol/limits.ts"

export type TokenKeys = { readonly type: "secret"; readonly secret: string } | { readonly type: "jwks"; readonly url: URL }

export interface Tokens {
  /** Rejects with a `RequestError`: `unauthorised` where the token is not good, `unavailable` where the keys cannot be had now. */
  readonly verify: (token: string) => Promise<TokenReply>
  /** A token for `user` that lasts DEMO_TOKEN_S, of a session of its own unless one is named. Only with a secret. */
  readonly issue: (user: string, session?: string) => Promise<string>
}

/** Whether `text` can be a user id: it becomes a principal, a header and a log field. */
export const isUserId = (text: unknown): text is string =>
  typeof text === "string" && text.length > 0 && text.length <= USER_ID_CHARS && text.isWellFormed() && !hasControl.test(text)

/** The end of the year 9999, in seconds since 1970: later times have no ISO 8601 form that everybody reads. */
const LAST_SECOND = 253_402_300_799

const hasControl = /\p{Cc}/u

/** A secret too short to be one. HS256 is as strong as its secret: RFC 7518 asks for the size of the hash. */
export const secretIsShort = (secret: string): boolean => Buffer.byteLength(secret) < SECRET_MIN_BYTES

/** `now`: milliseconds since 1970. */
export const makeTokens = (keys: TokenKeys, now: () => number): Tokens => {
  const check = verifier(keys)
  return {
    verify: async (token) => {
      if (Buffer.byteLength(token) > TOKEN_MAX_BYTES) throw unauthorised("the token is too long")
      let payload: JWTPayload
      try {
        payload = await check(token, { requiredClaims: ["sub", "exp"], clockTolerance: CLOCK_SKEW_S, currentDate: new Date(now()) })
      } catch (error) {
        throw asRequestError(error)
      }
      if (!isUserId(payload.sub)) throw unauthorised("the token's sub is not a user id")
      if (payload.exp! * 1_000 <= now()) throw unauthorised("the token has expired")
      return { userId: payload.sub, expiresAt: Math.min(payload.exp!, LAST_SECOND), issuedAt: payload.iat ?? null, sessionId: (payload["sid"] as string | undefined) ?? null }
    },
    issue: async (user, session = randomUUID()) => {
      if (keys.type !== "secret") throw new Error("tokens are issued with a secret only")
      // To the millisecond: whoever was signed out gets another one within the same second.
      const seconds = now() / 1_000
      return new SignJWT({ sub: user, sid: session, iat: seconds, exp: Math.floor(seconds) + DEMO_TOKEN_S })
        .setProtectedHeader({ alg: "HS256", typ: "JWT" })
        .sign(Buffer.from(keys.secret))
    },
  }
}

const verifier = (keys: TokenKeys): ((token: string, options: JWTVerifyOptions) => Promise<JWTPayload>) => {
  if (keys.type === "secret") {
    const secret = Buffer.from(keys.secret)
    return async (token, options) => (await jwtVerify(token, secret, { ...options, algorithms: ["HS256"] })).payload
  }
  const keySet = createRemoteJWKSet(keys.url, { timeoutDuration: JWKS_TIMEOUT_MS })
  return async (token, options) => (await jwtVerify(token, keySet, { ...options, algorithms: ["RS256", "ES256", "EdDSA"] })).payload
}

const unauthorised = (message: string): RequestError =>
  new RequestError({ code: "unauthorised", message, hint: "sign in again for a new token" })

/** What is wrong with the token is said as far as it helps its owner; what is wrong with the key set is not the owner's fault. */
const asRequestError = (error: unknown): RequestError => {
  if (error instanceof errors.JWTExpired) return unauthorised("the token has expired")
  if (error instanceof errors.JWTClaimValidationFailed) return unauthorised(`the token's ${error.claim} is missing or not valid`)
  if (aboutToken.some((known) => error instanceof known)) return unauthorised("the token is not valid")
  return new RequestError({
    code: "unavailable",
    message: "the keys that tokens are signed with cannot be read now",
    hint: "TIDELINE_JWKS_URL must answer with a JSON Web Key Set",
    retryAfter: 5,
  })
}

const aboutToken = [
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JWTInvalid,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
]
