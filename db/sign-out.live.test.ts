/** Signing out, in SQL: what it writes, and what the log is told of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => void (db = await openDatabase()))
afterAll(() => db.stop())

const signOut = async (user: string, session: string | null = null): Promise<Date> =>
  (await db.sql<Array<{ at: Date }>>`select authz.sign_out(${user}, ${session}) as at`)[0]!.at

describe("authz.sign_out", () => {
  it("keeps one row a user for all sessions and one a session, and tells the log who did it", async () => {
    const before = Date.now()
    const first = await signOut("ada")
    expect(first.getTime()).toBeGreaterThanOrEqual(before)
    const second = await signOut("ada")
    await signOut("ada", "phone")
    await db.sql.begin(async (tx) => {
      await tx`set local tide.user_id = 'root'`
      await tx`select authz.sign_out('ada', 'phone')`
    })
    expect(second.getTime()).toBeGreaterThanOrEqual(first.getTime())
    expect(await db.sql`select user_id, session, signed_out_by from authz.sign_outs order by session nulls first`).toEqual([
      { user_id: "ada", session: null, signed_out_by: null }, { user_id: "ada", session: "phone", signed_out_by: "root" }])
    const events = await db.events("_sign_out")
    expect(events.map((e) => e.op)).toEqual(["INSERT", "UPDATE", "INSERT", "UPDATE"])
    expect(events[0]!.entity_id).toBe(events[1]!.entity_id)
    expect(events[0]!.entity_id).not.toBe(events[2]!.entity_id)
    expect(events[3]).toMatchObject({ scope: null, user_id: "root", after: { user_id: "ada", session: "phone", signed_out_by: "root" } })
    expect(String(events[1]!.after!["signed_out_at"])).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/)
  })

  it("of a user in whose name a session's stands is another's", async () => {
    const ids = new Set<string>()
    const named: ReadonlyArray<readonly [string, string | null]> = [["a", "b"], ["a','b", null], ["a'", "b"], ["a", "'b"], ["a", "NULL"], ["a", null], ["a,NULL", null]]
    for (const [user, session] of named) await signOut(user, session)
    for (const { id } of await db.sql<Array<{ id: string }>>`select id from authz.sign_outs where user_id like 'a%' and user_id <> 'ada'`) ids.add(id)
    expect(ids.size).toBe(named.length)
  })

  it("never goes back, whoever was faster", async () => {
    await db.sql`insert into authz.sign_outs (user_id, signed_out_at) values ('late', now() + interval '1 hour')`
    expect((await signOut("late")).getTime()).toBeGreaterThan(Date.now() + 3_000_000)
  })

  it("keeps so many sessions of one user: the oldest of more become one sign-out of all", async () => {
    const [{ kept }] = await db.sql<[{ kept: number }]>`select authz.sign_outs_kept() as kept`
    await db.sql`insert into authz.sign_outs (user_id, session, signed_out_at) select 'many', 's' || i, now() - interval '1 day' + i * interval '1 second' from generate_series(1, ${kept}) i`
    await db.sql`insert into authz.sign_outs (user_id, session, signed_out_at) select 'other', 's' || i, now() - interval '2 days' from generate_series(1, ${kept}) i`
    const rows = () => db.sql<Array<{ session: string | null; age: number }>>`
      select session, round(extract(epoch from now() - signed_out_at))::int as age from authz.sign_outs where user_id = 'many' order by signed_out_at`
    await signOut("many", "another")
    const after = await rows()
    expect(after.length).toBe(kept + 1)
    expect(after.slice(0, 2).map((row) => row.session).toSorted()).toEqual([null, "s2"].toSorted())
    expect(after.find((row) => row.session === null)!.age).toBeGreaterThan(86_300)
    await signOut("many", "one more")
    expect((await rows()).map((row) => row.session)).not.toContain("s2")
    expect((await rows()).length).toBe(kept + 1)
    // One of all that is younger stays.
    await signOut("many")
    await signOut("many", "and another")
    expect((await rows()).at(-2)).toMatchObject({ session: null })
    expect((await db.sql`select from authz.sign_outs where user_id = 'other'`).length).toBe(kept)
  })

  it.each([
    ["no user", "", null, /is not a user id/],
    ["a session without a name", "ada", "", /is not a session/],
    ["a user no token can name", "x".repeat(2_000), null, /too long/],
    ["a session too long for an event", "ada", "x".repeat(2_000), /too long/],
  ])("refuses %s", async (_, user, session, message) => {
    const refused = await refusal(signOut(user, session))
    expect(refused.message).toMatch(message)
  })
})
