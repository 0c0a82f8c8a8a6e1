/** Whom a sign-out ends on an edge, held against a list of all there were. */
import { describe, expect, it } from "vitest"
import type { LogMessage } from "#nats/log.ts"
import type { Credential, SignOut } from "#protocol/sign-out.ts"
import { ends } from "#protocol/sign-out.ts"
import { property } from "#test/support/random.ts"
import { SignOuts } from "./sign-outs.ts"

const message = (body: string, operation: LogMessage["operation"] = "INSERT"): LogMessage =>
  ({ seq: 1, address: { scope: null, entity: "_sign_out", id: "x" }, operation, body, before: null }) as unknown as LogMessage
const row = ({ user, session, at }: SignOut) => message(JSON.stringify({ id: "x", user_id: user, session, signed_out_at: new Date(at).toISOString(), signed_out_by: null }))

describe("an edge's sign-outs", () => {
  property("end whom the rule names, and are known for as long as they must be", 300, (random) => {
    const signOuts = new SignOuts<{ credential: Credential | null }>(0)
    const users = ["ada", "grace"]
    const credential = (): Credential => ({ userId: random.pick(users), issuedAt: random.chance(0.2) ? null : random.int(10), sessionId: random.chance(0.3) ? null : random.pick(["a", "b"]) })
    const bearers = random.list(6, () => ({ credential: random.chance(0.9) ? credential() : null }))
    for (const bearer of bearers) signOuts.register(bearer, bearer.credential?.userId ?? random.pick(users))
    const all: Array<{ end: number; signOut: SignOut }> = []
    let floor = 0
    for (let end = 1; end <= 12; end++) {
      const made = random.list(2, (): SignOut => ({ user: random.pick(users), session: random.chance(0.5) ? null : random.pick(["a", "b"]), at: random.int(10) * 1_000 }))
      const ended = signOuts.note(end, [...made.map(row), message("", "DELETE"), message("{"), message('{"user_id":7}')])
      expect(ended).toEqual(new Set(bearers.filter((bearer) => bearer.credential !== null && made.some((one) => ends(one, bearer.credential!)))))
      for (const signOut of made) all.push({ end, signOut })
      if (random.chance(0.2)) {
        floor = random.int(end + 1)
        signOuts.trim(floor)
        floor = Math.max(floor, 0)
      }
      const asked = credential()
      const since = random.int(end + 1)
      const known = signOuts.since(since, asked)
      if (known !== null) expect(known).toBe(all.some((one) => one.end > since && ends(one.signOut, asked)))
      else expect(since).toBeLessThan(end)
    }
  })

  it("forget who has gone", () => {
    const signOuts = new SignOuts<{ credential: Credential | null }>(0)
    const bearer = { credential: { userId: "ada", issuedAt: 0, sessionId: null } }
    signOuts.register(bearer, "ada")
    signOuts.forget(bearer, "ada")
    signOuts.forget(bearer, "ada")
    expect(signOuts.note(1, [row({ user: "ada", session: null, at: 1_000 })])).toEqual(new Set())
    expect([signOuts.since(0, bearer.credential), signOuts.since(1, bearer.credential)]).toEqual([true, false])
    signOuts.trim(1)
    expect(signOuts.since(0, bearer.credential)).toBeNull()
  })
})
