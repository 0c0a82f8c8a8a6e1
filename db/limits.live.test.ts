/** Bounds that SQL and TypeScript both know are the same. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ENTITY_CODE_CHARS, LARGE_IMAGE_BYTES, MUTATION_ID_CHARS, PRINCIPAL_LOCKS, ROW_BYTES, SETTING_BYTES, TOKEN_BYTES } from "#protocol/limits.ts"
import { encodeToken, isEntityCode } from "#protocol/subject.ts"
import { openDatabase, refusal } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"
import { property } from "#test/support/random.ts"

let db: TestDatabase
beforeAll(async () => {
  db = await openDatabase()
  await db.sql.unsafe(`create schema app; create table app.item (id text primary key, v text); select tide.track('app.item', 'item')`)
})
afterAll(() => db.stop())

describe("bounds in SQL", () => {
  property("count the bytes of a token as protocol/subject.ts makes it", 200, async (random) => {
    const text = random.text(40)
    const [row] = await db.sql`select tide.token_bytes(${text}) as bytes`
    expect(row!["bytes"]).toBe(encodeToken(text).length)
  })

  it("let an id be as long as a token may be, and no longer", async () => {
    for (const char of ["x", ".", "ä"]) {
      const longest = char.repeat(Math.floor(TOKEN_BYTES / encodeToken(char).length))
      await db.sql`insert into app.item values (${longest})`
      expect(await refusal(db.sql`insert into app.item values (${longest + char})`)).toMatchObject({ code: "54000", message: expect.stringContaining(`${TOKEN_BYTES} at most`) })
    }
  })

  it("let a row be as large as a message may be, less its headers", async () => {
    expect(await db.sql`select tide.row_bytes() as row, tide.setting_bytes() as setting`).toEqual([{ row: ROW_BYTES, setting: SETTING_BYTES }])
  })

  it("agree on what is too large to be read with others", async () => {
    expect(await db.sql`select tide.large_bytes() as large`).toEqual([{ large: LARGE_IMAGE_BYTES }])
  })

  it("agree on how many locks principals share", async () => {
    expect(await db.sql`select authz.principal_locks() as locks, bool_and(authz.lock_of('user:' || i) between 0 and ${PRINCIPAL_LOCKS - 1}) as within, authz.lock_of('everyone') as everyone
      from generate_series(1, 1000) i`).toEqual([{ locks: PRINCIPAL_LOCKS, within: true, everyone: PRINCIPAL_LOCKS }])
  })

  it("agree on codes, ids of mutations and pages", async () => {
    for (const code of ["a".repeat(ENTITY_CODE_CHARS), "a".repeat(ENTITY_CODE_CHARS + 1), "a_1", "_a", "A", "1a", "", "a-b"]) {
      await db.sql.unsafe(`create table app.coded (id int primary key)`)
      const tracked = await db.sql`select tide.track('app.coded', ${code})`.then(() => true, () => false)
      expect({ code, tracked }).toEqual({ code, tracked: isEntityCode(code) })
      if (tracked) await db.sql.unsafe(`insert into app.coded values (1); select tide.untrack('app.coded')`)
      await db.sql`drop table app.coded`
    }
    const answer = async (length: number) => {
      const wish = { id: "x".repeat(length), entityCode: "item", entityId: "none", op: "delete" }
      return (await db.sql`select tide.mutate(${JSON.stringify(wish)}::text::jsonb, 'ada') ->> 'status' as status`)[0]!["status"] as unknown
    }
    expect([await answer(MUTATION_ID_CHARS), await answer(MUTATION_ID_CHARS + 1)]).toEqual(["denied", "invalid"])
  })
})
