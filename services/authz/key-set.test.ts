/** Keys that come from an issuer's address, over real HTTP: rotation, unknown keys, and an address that is away, slow or answers nonsense. */
import { createServer } from "node:http"
import type { RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from "jose"
import type { JWK } from "jose"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { JWKS_BYTES, JWKS_COOLDOWN_MS, JWKS_FRESH_MS, JWKS_KEYS, JWKS_STALE_MS, TOKEN_MAX_BYTES } from "#protocol/limits.ts"
import { property } from "#test/support/random.ts"
import { until } from "#test/support/until.ts"
import type { Tokens } from "./token.ts"
import { makeTokens } from "./token.ts"

const START = Date.UTC(2026, 0, 1)
let time = START
let fetches = 0
let serve: RequestListener
let port = 0
const server = createServer((request, response) => {
  fetches += 1
  serve(request, response)
})
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  time = START
  fetches = 0
})

const pair = async (alg: string, kid: string | undefined, over: JWK = {}) => {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk: JWK = { ...(await exportJWK(publicKey)), alg, use: "sig", ...(kid === undefined ? {} : { kid }), ...over }
  const sign = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
    new SignJWT({ sub: "ada", exp: START / 1_000 + 86_400, ...claims }).setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }), ...header }).sign(privateKey)
  return { jwk, sign, publicKey, privateKey }
}
const answerWith = (...keys: ReadonlyArray<JWK>): RequestListener => (_, response) => {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ keys }))
}
const tokens = (path = "/keys", problems: Array<string | null> = []): Tokens =>
  makeTokens({ type: "jwks", url: new URL(`http://127.0.0.1:${port}${path}`) }, () => time, (problem) => problems.push(problem))
const unauthorised = (verify: Tokens["verify"], token: string) => expect(verify(token)).rejects.toMatchObject({ code: "unauthorised" })
const unavailable = (verify: Tokens["verify"], token: string) =>
  expect(verify(token)).rejects.toMatchObject({ code: "unavailable", retryAfter: expect.any(Number) as number })
const good = async (verify: Tokens["verify"], token: string) => expect(await verify(token)).toMatchObject({ userId: "ada" })

const [old, fresh, other] = await Promise.all([pair("RS256", "old"), pair("ES256", "new"), pair("EdDSA", "other")])

describe("rotation", () => {
  it("takes a new key at once, and refuses one that is gone from the set", async () => {
    serve = answerWith(old.jwk)
    const { verify } = tokens()
    await good(verify, await old.sign())
    time += JWKS_COOLDOWN_MS
    serve = answerWith(old.jwk, fresh.jwk)
    await good(verify, await fresh.sign())
    expect(fetches).toBe(2)
    serve = answerWith(fresh.jwk)
    await good(verify, await old.sign())
    time += JWKS_FRESH_MS + 1
    await unauthorised(verify, await old.sign())
    await good(verify, await fresh.sign())
    expect(fetches).toBe(3)
  })

  it("fetches beside the tokens before the set is old, so that nobody waits", async () => {
    serve = answerWith(old.jwk)
    const { verify } = tokens()
    await good(verify, await old.sign())
    time += JWKS_FRESH_MS / 2 + 1
    serve = () => {} // never answers
    await good(verify, await old.sign())
    await until(() => fetches === 2, { what: "a fetch beside it" })
    server.closeAllConnections()
  })

  it("reads the set again without a key of that name, but not more often than every so often, and says so", async () => {
    serve = answerWith(old.jwk)
    const { verify } = tokens()
    await good(verify, await old.sign())
    // Published now: the set that is known is younger than a fetch may be.
    serve = answerWith(old.jwk, fresh.jwk)
    await expect(verify(await fresh.sign())).rejects.toMatchObject({ code: "unavailable", retryAfter: JWKS_COOLDOWN_MS / 1_000 })
    for (let i = 0; i < 200; i++) await unavailable(verify, await other.sign({}, { kid: `unknown${i}` }))
    expect(fetches).toBe(1)
    time += JWKS_COOLDOWN_MS
    await good(verify, await fresh.sign())
    expect(fetches).toBe(2)
  })

  it("refuses a key that is in no set that was read after the question", async () => {
    serve = answerWith(old.jwk)
    const { verify } = tokens()
    await unauthorised(verify, await other.sign())
    expect(fetches).toBe(1)
    await unauthorised(verify, await other.sign())
    time += JWKS_COOLDOWN_MS - 1
    await unauthorised(verify, await other.sign())
    expect(fetches).toBe(1)
    time += 1
    await unauthorised(verify, await other.sign())
    expect(fetches).toBe(2)
  })

  it("a hundred questions at once share one fetch", async () => {
    serve = answerWith(old.jwk)
    const { verify } = tokens()
    const token = await old.sign()
    await Promise.all(Array.from({ length: 100 }, () => good(verify, token)))
    time += JWKS_COOLDOWN_MS
    const strange = await Promise.all(Array.from({ length: 100 }, (_, i) => other.sign({}, { kid: `u${i}` })))
    await Promise.all(strange.map((one) => unauthorised(verify, one)))
    expect(fetches).toBe(2)
  })

  it("does without names: every key that fits is tried, and a new one is found", async () => {
    const [a, b, c] = await Promise.all([pair("RS256", undefined), pair("RS256", undefined), pair("RS256", undefined)])
    serve = answerWith(a.jwk, b.jwk)
    const { verify } = tokens()
    await good(verify, await a.sign())
    await good(verify, await b.sign())
    await unavailable(verify, await c.sign())
    time += JWKS_COOLDOWN_MS
    serve = answerWith(b.jwk, c.jwk)
    await good(verify, await c.sign())
    await unauthorised(verify, await a.sign())
  })
})

describe("an address that is away", () => {
  it("leaves known keys good for a bounded time, unknown ones wait, and all is well when it is back", async () => {
    serve = answerWith(old.jwk)
    const problems: Array<string | null> = []
    const { verify } = tokens("/keys", problems)
    await good(verify, await old.sign())
    serve = (_, response) => void response.writeHead(503).end("away")
    time += JWKS_FRESH_MS + 1
    await good(verify, await old.sign())
    await unavailable(verify, await fresh.sign())
    expect(problems).toEqual(["the key set cannot be read: it answers 503"])
    time = START + JWKS_STALE_MS
    await good(verify, await old.sign())
    time += JWKS_COOLDOWN_MS
    await unavailable(verify, await old.sign())
    serve = answerWith(old.jwk)
    time += JWKS_COOLDOWN_MS
    await good(verify, await old.sign())
    expect(problems).toEqual(["the key set cannot be read: it answers 503", null])
  })

  it.each<[string, RequestListener, RegExp]>([
    ["refuses the connection", (request) => request.socket.destroy(), /cannot be read/],
    ["answers nonsense", (_, response) => void response.end("<html>"), /not answer with JSON/],
    ["answers no set", (_, response) => void response.end('{"keys":{}}'), /not answer with a JSON Web Key Set/],
    ["answers null", (_, response) => void response.end("null"), /not answer with a JSON Web Key Set/],
    ["answers too many keys", (_, response) => void response.end(JSON.stringify({ keys: Array.from({ length: JWKS_KEYS + 1 }, () => ({})) })), /more than 100 keys/],
    ["answers without end", (_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(" ".repeat(64 * 1024)));
        if (!response.destroyed) response.once("drain", more)
      }
      more()
    }, new RegExp(`more than ${JWKS_BYTES} bytes`)],
    ["leads elsewhere", (_, response) => void response.writeHead(302, { location: `http://127.0.0.1:1/evil` }).end(), /answers 302 and leads elsewhere/],
    ["is not found", (_, response) => void response.writeHead(404).end(), /answers 404/],
  ])("that %s: nobody knows, which is no reason to refuse a token", async (_, listener, problem) => {
    serve = listener
    const problems: Array<string | null> = []
    const { verify } = tokens("/keys", problems)
    await unavailable(verify, await old.sign())
    await unavailable(verify, await old.sign())
    expect(problems).toEqual([expect.stringMatching(problem)])
    expect(fetches).toBe(1)
    serve = answerWith(old.jwk)
    time += JWKS_COOLDOWN_MS
    await good(verify, await old.sign())
  })

  it("that is slow: given up in time, and known keys do without", async () => {
    serve = answerWith(old.jwk)
    const problems: Array<string | null> = []
    const { verify } = tokens("/keys", problems)
    await good(verify, await old.sign())
    serve = (_, response) => void response.writeHead(200).write('{"keys":')
    time += JWKS_FRESH_MS + 1
    await good(verify, await old.sign())
    expect(problems).toEqual([expect.stringMatching(/no whole answer within 2000 ms/)])
    await good(verify, await old.sign())
    expect(fetches).toBe(2)
  })
})

describe("keys that are not meant for it", () => {
  it("check nothing: private, symmetric, for encryption, too short, of another curve", async () => {
    const short = await crypto.subtle.generateKey({ name: "RSASSA-PKCS1-v1_5", modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, true, ["sign", "verify"])
    const [enc, ops, priv, p384] = await Promise.all([pair("RS256", "enc", { use: "enc" }), pair("RS256", "ops", { key_ops: ["encrypt"] }), pair("ES256", "priv"), pair("ES384", "p384")])
    const problems: Array<string | null> = []
    serve = answerWith(
      enc.jwk, ops.jwk, { ...priv.jwk, ...(await exportJWK(priv.privateKey)) }, p384.jwk, fresh.jwk,
      { ...(await crypto.subtle.exportKey("jwk", short.publicKey)), kid: "short", use: "sig", alg: "RS256" } as JWK,
      { kty: "oct", k: Buffer.from("0123456789abcdef0123456789abcdef").toString("base64url"), kid: "oct", alg: "HS256" },
    )
    const { verify } = tokens("/keys", problems)
    await good(verify, await fresh.sign())
    const forShort = await new SignJWT({ sub: "ada", exp: START / 1_000 + 60 }).setProtectedHeader({ alg: "HS256", kid: "oct" }).sign(Buffer.from("0123456789abcdef0123456789abcdef"))
    await unauthorised(verify, forShort)
    time += JWKS_COOLDOWN_MS
    for (const one of [enc, ops, priv, p384]) await unauthorised(verify, await one.sign()).catch(async () => unavailable(verify, await one.sign()))
    expect(problems).toEqual([expect.stringMatching(/^6 keys of the set are not used/)])
  })

  it("another key under the same name does not do, and the header brings none", async () => {
    serve = answerWith(old.jwk, fresh.jwk, other.jwk)
    const { verify } = tokens()
    const thief = await pair("RS256", "old")
    await unauthorised(verify, await thief.sign())
    for (const header of [{ jwk: thief.jwk }, { jku: `http://127.0.0.1:${port}/thief` }, { x5u: "http://127.0.0.1/x" }, { x5c: ["AAAA"] }, { crit: ["exp"] }, { b64: false, crit: ["b64"] }])
      await unauthorised(verify, await thief.sign({}, header).catch(() => "a.b.c"))
    expect(fetches).toBe(1)
  })

  it("only the algorithms that are configured count, whatever the token says", async () => {
    const { alg: _, ...nameless } = old.jwk
    serve = answerWith(nameless, fresh.jwk, other.jwk)
    const { verify } = tokens()
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const claims = { sub: "ada", exp: START / 1_000 + 60 }
    for (const alg of ["none", "None", "NONE", "nOnE"]) {
      await unauthorised(verify, `${encode({ alg, kid: "old" })}.${encode(claims)}.`)
      await unauthorised(verify, `${encode({ alg, kid: "old" })}.${encode(claims)}.AAAA`)
    }
    for (const secret of [await exportSPKI(old.publicKey), JSON.stringify(old.jwk), String(old.jwk.n)])
      for (const alg of ["HS256", "HS384", "HS512"]) await unauthorised(verify, await new SignJWT(claims).setProtectedHeader({ alg, kid: "old" }).sign(Buffer.from(secret.padEnd(64))))
    for (const alg of ["RS384", "RS512", "PS256", "PS384", "ES384", "ES512"]) await unauthorised(verify, await (await pair(alg, "old")).sign())
    // Asked about no key: no fetch but the first.
    expect(fetches).toBe(1)
  })
})

describe("a mangled token never counts, and breaks nothing", async () => {
  const secret = "0123456789abcdef0123456789abcdef"
  const symmetric = makeTokens({ type: "secret", secret }, () => time)
  const asymmetric: Pick<Tokens, "verify"> = { verify: (token) => (lazy ??= tokens()).verify(token) }
  let lazy: Tokens | undefined
  beforeAll(() => {
    time = START
    serve = answerWith(old.jwk, fresh.jwk, other.jwk)
  })
  const samples = [
    [symmetric, await symmetric.issue("ada")],
    [asymmetric, await old.sign()],
    [asymmetric, await fresh.sign()],
    [asymmetric, await other.sign()],
  ] as const
  it("while whole ones do", async () => {
    for (const [by, token] of samples) await good(by.verify, token)
  })
  const alphabet = "ABCDwxyz0189-_=.+/ \n\0é{}\":,"
  property("mangled", 3_000, async (random) => {
    const [by, token] = random.pick(samples)
    let mangled = token
    for (let i = 1 + random.int(3); i > 0; i--) {
      const at = random.int(mangled.length + 1)
      const char = alphabet[random.int(alphabet.length)]!
      const dice = random.int(6)
      if (dice === 0) mangled = mangled.slice(0, at) + mangled.slice(at + 1 + random.int(20))
      else if (dice === 1) mangled = mangled.slice(0, at) + char + mangled.slice(at)
      else if (dice === 2) mangled = mangled.slice(0, at) + char + mangled.slice(at + 1)
      else if (dice === 3) mangled = mangled.slice(0, at)
      else if (dice === 4) mangled = mangled.split(".").toSorted(() => random.int(3) - 1).join(".")
      else mangled += char.repeat(random.int(TOKEN_MAX_BYTES))
    }
    // The last character of a part may carry bits that mean nothing; what reads the same is the same token.
    if (mangled.split(".").map((part) => Buffer.from(part, "base64url").toString("hex")).join(".") === token.split(".").map((part) => Buffer.from(part, "base64url").toString("hex")).join(".")) return
    const verdict = await by.verify(mangled).then(() => "good", (error: { readonly code: string }) => error.code)
    expect(["unauthorised", "unavailable"]).toContain(verdict)
  })
})
