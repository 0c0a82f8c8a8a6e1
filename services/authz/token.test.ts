import { ConfigProvider, Effect, Redacted } from "effect"
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from "jose"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { DEMO_TOKEN_S } from "#protocol/limits.ts"
import { authzConfig } from "./config.ts"
import { makeTokens } from "./token.ts"

const SECRET = "0123456789abcdef0123456789abcdef"
const NOW = Date.UTC(2026, 0, 1)
const second = NOW / 1_000
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const sign = (claims: Record<string, unknown>, secret = SECRET): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(bytes(secret))
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

describe("a token signed with the secret", () => {
  const { verify, issue } = makeTokens({ type: "secret", secret: SECRET }, () => NOW)
  const refused = (token: string) => expect(verify(token)).rejects.toMatchObject({ code: "unauthorised" })

  it("says who it is, and until when", async () => {
    expect(await verify(await sign({ sub: "ada", exp: second + 60 }))).toEqual({ userId: "ada", expiresAt: second + 60, lasts: 60, issuedAt: null, sessionId: null })
  })

  it("is refused when it is not signed, or with another secret or algorithm", async () => {
    const claims = { sub: "ada", exp: second + 60 }
    await refused(`${base64url({ alg: "none" })}.${base64url(claims)}.`)
    await refused(`${base64url({ alg: "none", typ: "JWT" })}.${base64url(claims)}.AAAA`)
    await refused(await sign(claims, "another secret of enough bytes, really"))
    await refused(await new SignJWT(claims).setProtectedHeader({ alg: "HS512" }).sign(bytes(SECRET.repeat(2))))
    const good = await sign(claims)
    await refused(`${good.slice(0, -2)}${good.endsWith("A") ? "B" : "A"}${good.at(-1)}`)
    await refused("")
    await refused("a.b.c")
    await refused(`${good}${"x".repeat(9_000)}`)
  })

  it("needs an end, and ends on time, without grace", async () => {
    await refused(await sign({ sub: "ada" }))
    await refused(await sign({ sub: "ada", exp: second }))
    await refused(await sign({ sub: "ada", exp: second - 10 }))
    await refused(await sign({ sub: "ada", exp: "tomorrow" as unknown as number }).catch(() => "unsignable"))
    expect(await verify(await sign({ sub: "ada", exp: second + 1 }))).toMatchObject({ userId: "ada" })
    expect(new Date((await verify(await sign({ sub: "ada", exp: 1e300 }))).expiresAt * 1_000).getUTCFullYear()).toBe(9999)
  })

  it("may begin half a minute ahead, for clocks differ, and no more", async () => {
    expect(await verify(await sign({ sub: "ada", exp: second + 90, nbf: second + 29 }))).toMatchObject({ userId: "ada" })
    await refused(await sign({ sub: "ada", exp: second + 90, nbf: second + 31 }))
  })

  it("needs a user id", async () => {
    for (const sub of [undefined, "", 7, "a\nb", "a\0b", "x".repeat(257), ["ada"]]) await refused(await sign({ sub, exp: second + 60 }))
    expect(await verify(await sign({ sub: "Ada Lovelace (日本)", exp: second + 60 }))).toMatchObject({ userId: "Ada Lovelace (日本)" })
  })

  it("says when it was issued and of which session it is, where it does; not in the future, and nothing else", async () => {
    const token = (claims: Record<string, unknown>) => sign({ sub: "ada", exp: second + 600, ...claims })
    expect(await verify(await token({ iat: second - 0.5, sid: "phone" }))).toMatchObject({ issuedAt: second - 0.5, sessionId: "phone" })
    expect(await verify(await token({ iat: second + 30, sid: null }))).toMatchObject({ issuedAt: second + 30, sessionId: null })
    for (const iat of [second + 31, 1e300, "yesterday", null, {}]) await refused(await token({ iat }))
    for (const sid of ["", 7, ["phone"], {}, true, "a\nb", "x".repeat(257)]) await refused(await token({ sid }))
  })

  it("is issued for the demo with half a day to live", async () => {
    expect(await verify(await issue("grace"))).toEqual({ userId: "grace", expiresAt: second + DEMO_TOKEN_S, lasts: DEMO_TOKEN_S, issuedAt: second, sessionId: expect.stringMatching(/^[-0-9a-f]{36}$/) as string })
  })
})

describe("a token signed with a key of a set", async () => {
  const keys = { RS256: await generateKeyPair("RS256"), ES256: await generateKeyPair("ES256"), EdDSA: await generateKeyPair("EdDSA") }
  const set = { keys: await Promise.all(Object.entries(keys).map(async ([alg, pair]) => ({ ...(await exportJWK(pair.publicKey)), alg, kid: alg, use: "sig" }))) }
  let broken = false
  const server = createServer((_, response) => {
    response.writeHead(broken ? 500 : 200, { "content-type": "application/json" })
    response.end(JSON.stringify(set))
  })
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
  afterAll(() => new Promise((resolve) => server.close(resolve)))

  const tokens = () => makeTokens({ type: "jwks", url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`) }, () => NOW)
  const claims = { sub: "ada", exp: second + 60 }

  it("is good under RS256, ES256 and EdDSA", async () => {
    const { verify } = tokens()
    for (const [alg, pair] of Object.entries(keys)) {
      const token = await new SignJWT(claims).setProtectedHeader({ alg, kid: alg }).sign(pair.privateKey)
      expect(await verify(token)).toMatchObject({ userId: "ada" })
    }
  })

  it("is refused when the public key was taken for a secret, or when nobody signed", async () => {
    const { verify } = tokens()
    const asSecret = bytes(await exportSPKI(keys.RS256.publicKey))
    const stranger = await generateKeyPair("RS256")
    for (const token of [
      await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "RS256" }).sign(asSecret),
      `${base64url({ alg: "none", kid: "RS256" })}.${base64url(claims)}.`,
      await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "RS256" }).sign(stranger.privateKey),
      await new SignJWT(claims).setProtectedHeader({ alg: "PS256", kid: "RS256" }).sign((await generateKeyPair("PS256")).privateKey),
    ])
      await expect(verify(token)).rejects.toMatchObject({ code: "unauthorised" })
  })

  it("cannot be judged while the set cannot be read", async () => {
    broken = true
    const token = await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "RS256" }).sign(keys.RS256.privateKey)
    await expect(tokens().verify(token)).rejects.toMatchObject({ code: "unavailable" })
    const { port } = server.address() as AddressInfo
    const nobody = makeTokens({ type: "jwks", url: new URL(`http://127.0.0.1:${port === 65_535 ? 1 : port + 1}/`) }, () => NOW)
    await expect(nobody.verify(token)).rejects.toMatchObject({ code: "unavailable" })
  })
})

describe("authz' settings", () => {
  const read = (env: Record<string, string>) =>
    authzConfig.pipe(
      Effect.match({ onFailure: (problem) => problem.message, onSuccess: (config) => config }),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { NATS_URL: "nats://127.0.0.1:4222", ...env } }))),
      Effect.runPromise,
    )

  it("name what is missing or wrong, and never the value", async () => {
    expect(await read({})).toMatch(/^TIDELINE_JWT_SECRET: required: an HS256 secret of at least 32 bytes, or TIDELINE_JWKS_URL/)
    expect(await read({ TIDELINE_JWT_SECRET: "short" })).toBe("TIDELINE_JWT_SECRET: an HS256 secret of at least 32 bytes")
    expect(await read({ TIDELINE_JWKS_URL: "file:///etc/keys" })).toMatch(/^TIDELINE_JWKS_URL: /)
    expect(await read({ TIDELINE_JWKS_URL: "zz" })).toMatch(/^TIDELINE_JWKS_URL: /)
    expect(await read({ TIDELINE_JWKS_URL: "https://id.example/keys", TIDELINE_JWT_SECRET: SECRET })).toMatch(/^TIDELINE_JWKS_URL: not set together/)
    expect(await read({ TIDELINE_JWKS_URL: "https://id.example/keys", TIDELINE_DEMO: "1" })).toMatch(/^TIDELINE_DEMO: /)
    expect(await read({ TIDELINE_JWT_SECRET: SECRET, TIDELINE_DEMO: "yes" })).toMatch(/^TIDELINE_DEMO: /)
    expect(await read({ TIDELINE_JWT_SECRET: SECRET, NATS_URL: "" })).toMatch(/^NATS_URL: required/)
    for (const url of ["localhost:4222", "http://127.0.0.1", "nats://a:4222,zz", "nats://"])
      expect(await read({ TIDELINE_JWT_SECRET: SECRET, NATS_URL: url })).toBe("NATS_URL: nats://user:password@host:port, several with commas")
  })

  it("are a secret or a key set", async () => {
    const config = await read({ TIDELINE_JWT_SECRET: SECRET, TIDELINE_DEMO: "1" })
    expect(config).toMatchObject({ demo: true, keys: { type: "secret", secret: SECRET } })
    expect(typeof config === "object" && Redacted.value(config.natsUrl)).toBe("nats://127.0.0.1:4222")
    expect(await read({ TIDELINE_JWKS_URL: "https://id.example/keys" })).toMatchObject({ demo: false, keys: { type: "jwks" } })
  })
})
