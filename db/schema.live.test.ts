/** db/schema.sql says what the migrations make. After a new migration: `npx vitest run db/schema.live.test.ts -u`, and read the difference. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { dumpSchema } from "./dump.ts"
import { openDatabase } from "#test/support/database.ts"
import type { TestDatabase } from "#test/support/database.ts"

let db: TestDatabase
beforeAll(async () => void (db = await openDatabase()))
afterAll(() => db.stop())

it("db/schema.sql is up to date", async () => {
  await expect(await dumpSchema(db.sql)).toMatchFileSnapshot("./schema.sql")
})
