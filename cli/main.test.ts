import { describe, expect, it } from "vitest"
import { tideline } from "./testing.ts"

const NOWHERE = { TIDELINE_DATA: "/nonexistent" }

describe("the program", { timeout: 30_000 }, () => {
  it("helps, and ends with 0", async () => {
    const { code, out } = await tideline(["--help"], {})
    expect(code).toBe(0)
    expect(out).toContain("npx tideline <command>")
  })

  it("ends with 2 where the words are wrong, and says where help is", async () => {
    const { code, out, err } = await tideline(["grant", "ada", "--level", "VIEW", "--all"], NOWHERE)
    expect([code, out]).toEqual([2, ""])
    expect(err).toContain('"ada" is not a principal.')
    expect(err).toContain("npx tideline grant --help")
    expect((await tideline(["tail", "--from-seq", "x"], NOWHERE)).code).toBe(2)
    expect((await tideline(["grant", "everyone", "--level", "BOSS", "--all"], NOWHERE)).err).toContain("One of VIEW, EDIT")
  })

  it("ends with 1 where there is nothing to talk to, and says what to set", async () => {
    const { code, err } = await tideline(["untrack", "app.task"], NOWHERE)
    expect(code).toBe(1)
    expect(err).toContain("DATABASE_URL is not set and no demo runs in this folder.")
    const json = await tideline(["token", "--user", "ada", "--json"], NOWHERE)
    expect([json.code, JSON.parse(json.err)]).toEqual([1, { error: expect.stringContaining("TIDELINE_JWT_SECRET"), hint: expect.stringContaining("npm start") }])
  })

  it("names an address that is none, or where nobody answers, and never a password", async () => {
    const dead = "postgres://u:topsecret@127.0.0.1:1/x"
    for (const url of [dead, "topsecret"]) {
      const { code, err } = await tideline(["untrack", "app.task"], { DATABASE_URL: url })
      expect(code).toBe(1)
      expect(err).not.toContain("topsecret")
    }
    const doctor = await tideline(["doctor", "--json"], { DATABASE_URL: dead, NATS_URL: "nats://u:topsecret@127.0.0.1:1", TIDELINE_EDGE_PORTS: "1" })
    expect(doctor.code).toBe(1)
    expect(doctor.out).not.toContain("topsecret")
    expect(doctor.json()).toEqual(expect.arrayContaining(["postgres", "nats-server", "edge-1"].map((check) => expect.objectContaining({ check, state: "problem", todo: expect.stringMatching(/.+/) }))))
  })

  it("signs with the secret it is given", async () => {
    const secret = "a secret that is long enough for HS256"
    const { code, json } = await tideline(["token", "--user", "ada", "--ttl", "10m", "--json"], { TIDELINE_JWT_SECRET: secret })
    const { token, user, session } = json() as { token: string; user: string; session: string }
    const claims = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString()) as { sub: string; exp: number; iat: number; sid: string }
    expect([code, user, claims.sub, Math.floor(claims.exp - claims.iat)]).toEqual([0, "ada", "ada", 600])
    expect([session, claims.sid]).toEqual([expect.stringMatching(/^[-0-9a-f]{36}$/), session])
    const phone = await tideline(["token", "--user", "ada", "--session", "phone", "--json"], { TIDELINE_JWT_SECRET: secret })
    expect(phone.json()).toMatchObject({ session: "phone" })
    expect(await tideline(["token", "--user", "ada", "--session", "x".repeat(257)], { TIDELINE_JWT_SECRET: secret })).toMatchObject({ code: 2, err: expect.stringContaining("longer than 256") })
    expect((await tideline(["token", "--user", "ada"], { TIDELINE_JWT_SECRET: "short" })).err).toContain("shorter than 32 bytes")
  })

  it("says whom it can sign out, before it looks for a database", async () => {
    expect(await tideline(["sign-out", "--help"], NOWHERE)).toMatchObject({ code: 0, out: expect.stringContaining("--session ID") })
    expect(await tideline(["sign-out"], NOWHERE)).toMatchObject({ code: 2 })
    expect(await tideline(["sign-out", "role:editors"], NOWHERE)).toMatchObject({ code: 2, err: expect.stringContaining("is a role") })
    expect(await tideline(["sign-out", "ada", "--session", ""], NOWHERE)).toMatchObject({ code: 2, err: expect.stringContaining("empty") })
  })
})
