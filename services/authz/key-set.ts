/**
 * The public keys that tokens are signed with, as the issuer's address has them (a JSON Web Key Set). Who is authoritative: the issuer. What
 * is kept here is as old as JWKS_FRESH_MS at most while the address answers, so a key that is gone there is soon refused here; while it does not, keys that are
 * known stay good for JWKS_STALE_MS.
 *
 * A key that is not known may be new: the set is fetched again, but no more often than every JWKS_COOLDOWN_MS, whatever tokens say. What a
 * fetch after the question did not bring is not there: the token is refused. Until there may be one, nobody knows: `unavailable`.
 */
import { createLocalJWKSet, errors, jwtVerify } from "jose"
import type { FlattenedJWSInput, JWK, JWTHeaderParameters, JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from "jose"
import { JWKS_ASKED, JWKS_BYTES, JWKS_COOLDOWN_MS, JWKS_FRESH_MS, JWKS_KEYS, JWKS_STALE_MS, JWKS_TIMEOUT_MS } from "#protocol/limits.ts"
import { RequestError } from "#protocol/request.ts"

export interface KeySet {
  /** The claims of a token that one of the keys signed. Rejects with what `jose` says of the token, or with a `RequestError`: `unavailable`. */
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<JWTPayload>
}

export interface KeySetOptions {
  readonly url: URL
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Told when the set cannot be had, or not as it was meant, and with null when it can be again. */
  readonly report: (problem: string | null) => void
}

interface Fetched {
  readonly key: JWTVerifyGetKey
  /** When it was asked for, and the how manyth try that was. */
  readonly at: number
  readonly nth: number
}

interface Asked {
  readonly at: number
  /** Tries to fetch the set before it was asked for. */
  readonly tries: number
}

const NO_KID = ""
/** Characters of a `kid` by which it is told from others. */
const KID_CHARS = 256

export const makeKeySet = ({ url, now, report }: KeySetOptions): KeySet => {
  let held: Fetched | null = null
  let fetching: Promise<void> | null = null
  let triedAt = Number.NEGATIVE_INFINITY
  let problem: string | null = null
  /** Keys that were asked for and were not there: since when. */
  const asked = new Map<string, Asked>()
  let tries = 0

  const told = (next: string | null): void => {
    if (next !== problem) report(next)
    problem = next
  }
  const mayFetch = (): boolean => fetching === null && now() - triedAt >= JWKS_COOLDOWN_MS
  /** Never rejects. */
  const fetchOnce = (): Promise<void> => {
    const at = now()
    triedAt = at
    const nth = ++tries
    return (fetching = read(url)
      .then(
        ({ keys, left }) => {
          held = { key: createLocalJWKSet({ keys: [...keys] }), at, nth }
          told(keys.length === 0 ? "the key set has no key that tokens can be signed with" : left > 0 ? `${left} keys of the set are not used: RSA of 2048 bits or more, EC P-256 and Ed25519 are, for signatures` : null)
        },
        (cause: unknown) => told(`the key set cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`),
      )
      .finally(() => (fetching = null)))
  }
  const unavailable = (message: string): RequestError =>
    new RequestError({
      code: "unavailable",
      message,
      hint: "ask again; authz' log says more",
      retryAfter: Math.max(1, Math.ceil((triedAt + JWKS_COOLDOWN_MS - now()) / 1_000)),
    })

  /** The set as far as it may be relied upon. */
  const current = async (): Promise<Fetched> => {
    const age = held === null ? Number.POSITIVE_INFINITY : now() - held.at
    if (age > JWKS_FRESH_MS / 2) {
      if (mayFetch()) void fetchOnce()
      if (age > JWKS_FRESH_MS && fetching !== null) await fetching
    }
    if (held !== null && now() - held.at <= JWKS_STALE_MS) return held
    throw unavailable("the keys that tokens are signed with cannot be read now")
  }

  /** Since when the key is asked for. What was asked for long ago is asked for anew. */
  const askedSince = (kid: string, present: Asked): Asked => {
    const known = asked.get(kid)
    if (known !== undefined && present.at - known.at < 2 * JWKS_COOLDOWN_MS) return known
    asked.delete(kid)
    if (asked.size >= JWKS_ASKED) asked.delete(asked.keys().next().value!)
    asked.set(kid, present)
    return present
  }

  /** A set in place of one that does not have the key, and whether it is sure: if it has not either, there is no such key. */
  const newer = async (kid: string, present: Asked): Promise<{ readonly set: Fetched | null; readonly isSure: boolean }> => {
    const since = askedSince(kid, present)
    if (fetching !== null) await fetching
    else if (mayFetch()) await fetchOnce()
    return { set: held, isSure: held !== null && held.nth === tries && held.nth > since.tries }
  }

  const attempt = async (set: Fetched, token: string, options: JWTVerifyOptions): Promise<JWTPayload> => {
    try {
      return (await jwtVerify(token, set.key, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
      for await (const key of error) {
        try {
          return (await jwtVerify(token, key, options)).payload
        } catch (failed) {
          if (!(failed instanceof errors.JWSSignatureVerificationFailed)) throw failed
        }
      }
      throw new errors.JWSSignatureVerificationFailed()
    }
  }

  return {
    verify: async (token, options) => {
      let kid = NO_KID
      const present = { at: now(), tries }
      const set = await current()
      const noting: Fetched = {
        ...set,
        key: (header: JWTHeaderParameters, jws: FlattenedJWSInput) => {
          kid = typeof header.kid === "string" ? header.kid.slice(0, KID_CHARS) : NO_KID
          return set.key(header, jws)
        },
      }
      try {
        return await attempt(noting, token, options)
      } catch (error) {
        if (!mayBeNew(error, kid)) throw error
      }
      const { set: next, isSure } = await newer(kid, present)
      try {
        if (next !== null && (isSure || next !== set)) return await attempt(next, token, options)
      } catch (error) {
        if (isSure || !mayBeNew(error, kid)) throw error
      }
      throw unavailable("the token's key is not known yet")
    },
  }
}

/** Whether the token may be signed with a key that the set does not have yet. One that names no key may be signed with any. */
const mayBeNew = (error: unknown, kid: string): boolean =>
  error instanceof errors.JWKSNoMatchingKey || (kid === NO_KID && error instanceof errors.JWSSignatureVerificationFailed)

/** Rejects with what is wrong with the answer. */
const read = async (url: URL): Promise<{ readonly keys: ReadonlyArray<JWK>; readonly left: number }> => {
  const signal = AbortSignal.timeout(JWKS_TIMEOUT_MS)
  // Whom a redirect leads to nobody has configured.
  const response = await fetch(url, { signal, redirect: "manual", headers: { accept: "application/jwk-set+json, application/json" } }).catch((cause: unknown) => {
    throw new Error(signal.aborted ? `no answer within ${JWKS_TIMEOUT_MS} ms` : reasonOf(cause))
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    const to = response.headers.get("location")
    throw new Error(to === null ? `it answers ${response.status}` : `it answers ${response.status} and leads elsewhere: TIDELINE_JWKS_URL must be the address that has the keys`)
  }
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  try {
    for await (const chunk of response.body ?? []) {
      bytes += chunk.byteLength
      if (bytes > JWKS_BYTES) break
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new Error(signal.aborted ? `no whole answer within ${JWKS_TIMEOUT_MS} ms` : reasonOf(cause), { cause })
  }
  if (bytes > JWKS_BYTES) throw new Error(`it answers more than ${JWKS_BYTES} bytes`)
  return keysOf(Buffer.concat(chunks).toString())
}

const reasonOf = (cause: unknown): string => {
  const root = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return root instanceof Error ? root.message || root.name : String(root)
}

const keysOf = (text: string): { readonly keys: ReadonlyArray<JWK>; readonly left: number } => {
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch {
    throw new Error("it does not answer with JSON")
  }
  const keys = typeof set === "object" && set !== null && "keys" in set ? set.keys : undefined
  if (!Array.isArray(keys)) throw new Error("it does not answer with a JSON Web Key Set")
  if (keys.length > JWKS_KEYS) throw new Error(`it has more than ${JWKS_KEYS} keys`)
  const used = keys.filter(isUsable)
  return { keys: used, left: keys.length - used.length }
}

const RSA_BYTES = 256

/** Whether signatures may be checked with it: public, of a kind that our algorithms use, and meant for that. */
const isUsable = (key: unknown): key is JWK => {
  if (typeof key !== "object" || key === null || "d" in key || "k" in key) return false
  const { kty, crv, n, use, key_ops: ops } = key as JWK
  if (use !== undefined && use !== "sig") return false
  if (ops !== undefined && !(Array.isArray(ops) && ops.includes("verify"))) return false
  if (kty === "RSA") return typeof n === "string" && Buffer.from(n, "base64url").byteLength >= RSA_BYTES
  return (kty === "EC" && crv === "P-256") || (kty === "OKP" && crv === "Ed25519")
}
