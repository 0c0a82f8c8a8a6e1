import { Effect } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { migratedPostgres } from "#test/support/servers.ts"
import type { TestPostgres } from "#test/support/servers.ts"
import type { Commit } from "./commits.ts"
import { areaOf, readHistory } from "./commits.ts"
import { play, position, startOver } from "./player.ts"

const FULL = { kind: "full" } as const

describe("the player", () => {
  let server: TestPostgres
  let sql: Sql
  let history: ReadonlyArray<Commit>
  beforeAll(async () => {
    server = await migratedPostgres({ demo: true })
    sql = postgres(server.url(), { max: 3, onnotice: () => {} })
    history = await Effect.runPromise(readHistory)
  })
  afterAll(async () => {
    await sql.end()
    await server.stop()
  })
  beforeEach(async () => {
    await Effect.runPromise(startOver(sql))
    await sql`truncate tide.outbox`
  })

  const run = (until: number, commits = history) => Effect.runPromise(play(sql, commits, { pace: FULL, until }))
  const events = () => sql<Array<{ xid: string; op: string; id: string; scope: string; user_id: string; request_id: string }>>`
    select xid::text, op, entity_id as id, scope, user_id, request_id from tide.outbox o where entity = 'file' order by o.id`

  it("makes each listed change one event, each commit one transaction by its author, whatever was there before", async () => {
    const odd: Commit = { commit: "000000000000", at: 0, author: 7, files: [["u", "never/created/before", 1, 3], ["c", "package.json", 2, 0]] }
    const commits = [...history.slice(0, 800), odd]
    const played = await run(commits.length, commits)
    const found = await events()
    expect(played).toMatchObject({ position: commits.length, commits: commits.length, changes: found.length })
    const transactions = [...Map.groupBy(found, (event) => event.xid).values()]
    expect(transactions).toHaveLength(commits.length)
    for (const [i, members] of transactions.entries()) {
      const { commit, author, files } = commits[i]!
      expect(members.map((m) => m.id).sort()).toEqual(files.map(([, path]) => path).sort())
      expect(new Set(members.map((m) => `${m.user_id} ${m.request_id}`))).toEqual(new Set([`author-${author} ${commit}`]))
      expect(members.every((m) => m.scope === areaOf(m.id))).toBe(true)
    }
    expect(transactions.at(-1)!.map((m) => `${m.op} ${m.id}`).sort()).toEqual(["INSERT never/created/before", "UPDATE package.json"])
  })

  it("goes on where the last one stopped, and can start over", async () => {
    expect(await run(20)).toMatchObject({ position: 20, commits: 20 })
    expect(await run(50)).toMatchObject({ position: 50, commits: 30 })
    expect(await run(50)).toMatchObject({ position: 50, commits: 0 })
    await Effect.runPromise(startOver(sql))
    expect(await Effect.runPromise(position(sql))).toBe(0)
    expect(await sql`select from app.file`).toHaveLength(0)
  })

  it("keeps no half of a commit that Postgres refuses", async () => {
    await run(10)
    const before = await sql`select * from app.file order by path`
    const broken: Commit = { commit: "000000000000", at: 0, author: 1, files: [["c", "new", 1, 0], ["d", "never there", 0, 1]] }
    await expect(run(11, [...history.slice(0, 10), broken])).rejects.toMatchObject({ message: expect.stringContaining("deletes 1 files of which 0 are there") })
    expect(await sql`select * from app.file order by path`).toEqual(before)
    expect(await Effect.runPromise(position(sql))).toBe(10)
  })

  it("refuses the later of two", async () => {
    const [first, second] = await Promise.allSettled([run(300), run(300)])
    expect([first.status, second.status].sort()).toEqual(["fulfilled", "rejected"])
    expect(await Effect.runPromise(position(sql))).toBe(300)
    expect(await events()).toHaveLength(history.slice(0, 300).reduce((n, commit) => n + commit.files.length, 0))
  })

  it("keeps the pace, and stops between two commits", async () => {
    const began = performance.now()
    await Effect.runPromise(play(sql, history, { pace: { kind: "steady", commitsPerSecond: 200 }, until: 41 }))
    expect(performance.now() - began).toBeGreaterThan(40 * 5 - 1)
    const stopped = Effect.runFork(play(sql, history, { pace: { kind: "history", times: 1 } }))
    await expect.poll(() => Effect.runPromise(position(sql))).toBe(42)
    stopped.interruptUnsafe()
    expect(await Effect.runPromise(position(sql))).toBe(42)
  })
})
