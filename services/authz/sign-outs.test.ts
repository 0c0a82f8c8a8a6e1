/** Who was signed out, by what authz has read: rows come, change and go; what cannot be read undoes nothing. */
import { describe, expect, it } from "vitest"
import type { LogMessage } from "#nats/log.ts"
import type { SignOut } from "#protocol/sign-out.ts"
import { ends } from "#protocol/sign-out.ts"
import { property } from "#test/support/random.ts"
import { signOutEvent } from "./acl-event.ts"
import { SignOuts } from "./sign-outs.ts"

const message = (id: string, body: string, operation: LogMessage["operation"] = "UPDATE"): LogMessage =>
  ({ seq: 1, address: { scope: null, entity: "_sign_out", id }, operation, body, before: null }) as unknown as LogMessage
const body = ({ user, session, at }: SignOut): string => JSON.stringify({ id: "x", user_id: user, session, signed_out_at: new Date(at).toISOString() })

describe("the fold's sign-outs", () => {
  property("are the newest row of each key", 300, (random) => {
    const signOuts = new SignOuts()
    const rows = new Map<string, SignOut>()
    for (let i = 0; i < 20; i++) {
      const key = random.pick(["1", "2", "3", "4"])
      if (random.chance(0.2)) {
        signOuts.apply(signOutEvent(message(key, "", "DELETE")))
        rows.delete(key)
      } else {
        const row: SignOut = { user: random.pick(["ada", "grace"]), session: random.chance(0.5) ? null : random.pick(["a", "b"]), at: random.int(10) * 1_000 }
        signOuts.apply(signOutEvent(message(key, body(row))))
        rows.set(key, row)
      }
      const asked = { userId: random.pick(["ada", "grace"]), issuedAt: random.chance(0.2) ? null : random.int(10), sessionId: random.chance(0.5) ? null : random.pick(["a", "b"]) }
      expect([signOuts.size, signOuts.ended(asked)]).toEqual([rows.size, [...rows.values()].some((row) => ends(row, asked))])
    }
  })

  it("stay where a row cannot be read, and say so", () => {
    const signOuts = new SignOuts()
    signOuts.apply(signOutEvent(message("1", body({ user: "ada", session: null, at: 1_000 }))))
    for (const text of ["", "{", "null", '{"id":"1","user_id":"ada"}', '{"id":"1","user_id":7,"session":null,"signed_out_at":""}']) {
      const event = signOutEvent(message("1", text))
      expect(event.problem).toMatch(/^_sign_out 1: /)
      signOuts.apply(event)
    }
    expect(signOuts.ended({ userId: "ada", issuedAt: 1, sessionId: null })).toBe(true)
  })
})
