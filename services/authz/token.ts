/**
 * Who is it, until when: a JSON Web Token becomes a user id. This is the only process that holds the secret or knows the keys.
 *
 * The algorithms are fixed by what is configured, never taken from the token: HS256 with a secret; RS256, ES256 and EdDSA with a
 * key set. So `none` is refused, and a public key is never taken for a secret. `exp` and `sub` are required. `nbf` may lie CLOCK_SKEW_S
 * ahead, for clocks differ, and so may `iat`; `exp` has no grace, for the edge ends the connection by it. `sid` names the session.
 */
import { randomUUID } from "node:crypto"
import { SignJWT, errors, jwtVerify } from "jose"
import type { JWTPayload, JWTVerifyOptions } from "jose"
import type { TokenReply } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import { CLOCK_SKEW_S, DEMO_TOKEN_S, SECRET_MIN_BYTES, SESSION_ID_CHARS, TOKEN_MAX_BYTES, USER_ID_CHARS } from "#protocol/limits.ts"
import { makeKeySet } from "./key-set.ts"

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

/** Whether `text` can be a session id. */
const isSessionId = (text: unknown): text is string =>
  typeof text === "string" && text.length > 0 && text.length <= SESSION_ID_CHARS && text.isWellFormed() && !hasControl.test(text)

/** The end of the year 9999, in seconds since 1970: later times have no ISO 8601 form that everybody reads. */
const LAST_SECOND = 253_402_300_799

const hasControl = /\p{Cc}/u

/** A secret too short to be one. HS256 is as strong as its secret: RFC 7518 asks for the size of the hash. */
export const secretIsShort = (secret: string): boolean => Buffer.byteLength(secret) < SECRET_MIN_BYTES

/** `now`: milliseconds since 1970. `report` is told what is wrong with the key set, and with null that nothing is any more. */
export const makeTokens = (keys: TokenKeys, now: () => number, report: (problem: string | null) => void = () => {}): Tokens => {
  const check = verifier(keys, now, report)
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
      const sessionId = payload["sid"] ?? null
      if (sessionId !== null && !isSessionId(sessionId)) throw unauthorised("the token's sid is not a session id")
      if ((payload.iat ?? 0) * 1_000 > now() + CLOCK_SKEW_S * 1_000) throw unauthorised("the token was issued in the future: clocks differ")
      if (payload.exp! * 1_000 <= now()) throw unauthorised("the token has expired")
      const expiresAt = Math.min(payload.exp!, LAST_SECOND)
      return { userId: payload.sub, expiresAt, lasts: expiresAt - now() / 1_000, issuedAt: payload.iat ?? null, sessionId }
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

const verifier = (keys: TokenKeys, now: () => number, report: (problem: string | null) => void): ((token: string, options: JWTVerifyOptions) => Promise<JWTPayload>) => {
  if (keys.type === "secret") {
    const secret = Buffer.from(keys.secret)
    return async (token, options) => (await jwtVerify(token, secret, { ...options, algorithms: ["HS256"] })).payload
  }
  const { verify } = makeKeySet({ url: keys.url, now, report })
  return (token, options) => verify(token, { ...options, algorithms: ["RS256", "ES256", "EdDSA"] })
}

const unauthorised = (message: string): RequestError =>
  new RequestError({ code: "unauthorised", message, hint: "sign in again for a new token" })

/** What is wrong with the token is said as far as it helps its owner. */
const asRequestError = (error: unknown): RequestError => {
  if (error instanceof RequestError) return error
  if (error instanceof errors.JWTExpired) return unauthorised("the token has expired")
  if (error instanceof errors.JWTClaimValidationFailed) return unauthorised(`the token's ${error.claim} is missing or not valid`)
  return unauthorised("the token is not valid")
}
