/**
 * Postgres is restored from an older backup under everybody's eyes: some watch through it, some were away since before it, some left
 * in the middle of what is no more. In the end every replica is what Postgres says its person may see; a grant that only the lost future had
 * gives nothing. The truth is computed a second way (people.ts).
 */
import { Effect } from "effect"
import { join } from "node:path"
import postgres from "postgres"
import type { Sql } from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import { copyFolder } from "#test/support/folder.ts"
import { randomFrom } from "#test/support/random.ts"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { until } from "#test/support/until.ts"
import { readHistory } from "../../demo/history/commits.ts"
import { play } from "../../demo/history/player.ts"
import type { Watcher } from "./audience.ts"
import { comeBack, leave, untruths, watch } from "./audience.ts"
import { giveAccess, PEOPLE, ROLE, ROLE_GRANTS, truthFor } from "./people.ts"

const random = randomFrom(1)
let stack: TestStack
let sql: Sql
beforeAll(async () => {
  stack = await startStack()
  sql = postgres(stack.databaseUrl, { max: 4, onnotice: () => {}, connection: { TimeZone: "UTC" } })
  await sql`select authz.revoke_access(principal => 'everyone', entity => 'file')`
  for (const grant of ROLE_GRANTS) await giveAccess(sql, `role:${ROLE}`, grant)
  for (const { name, grants, roles } of PEOPLE) {
    for (const grant of grants) await giveAccess(sql, `user:${name}`, grant)
    for (const role of roles) await sql`select authz.add_member(${role}, ${name})`
  }
})
afterAll(async () => {
  await sql?.end()
  await stack?.stop()
})

const wrongWith = async (watcher: Watcher): Promise<ReadonlyArray<string>> => untruths(watcher, await truthFor(sql, watcher.name))
const right = (watcher: Watcher): Promise<unknown> =>
  until(async () => watcher.replica.status$.value.kind === "live" && (await wrongWith(watcher)).length === 0, {
    what: `${watcher.name} holds what Postgres says`, deadline: 60_000, every: 50,
  }).catch(async (cause: unknown) => {
    throw new Error(`${watcher.name} is ${JSON.stringify(watcher.replica.status$.value)}: ${(await wrongWith(watcher)).slice(0, 10).join("\n")}`, { cause })
  })
const away = (watcher: Watcher): void => {
  watcher.link.cut()
  watcher.back = 0
}

it("everybody ends with what the restored Postgres says, wherever they were meanwhile", async () => {
  const history = await Effect.runPromise(readHistory)
  const playTo = (end: number) => Effect.runPromise(play(sql, history, { pace: { kind: "full" }, until: end }))
  const data = join(stack.dataDir, "postgres")
  await playTo(400)
  const [watching, since, middle, granted] = await Promise.all(["everything", "runtime", "compiler", "nothing-yet"].map((name) => watch(stack, name, random))) as [Watcher, Watcher, Watcher, Watcher]
  for (const watcher of [watching, since, middle, granted]) await right(watcher)

  await stack.hold("postgres")
  copyFolder(data, `${data}-backup`)
  await stack.release("postgres")
  away(since)
  await until(() => sql`select 1`, { what: "Postgres is back", deadline: 30_000 })
  await playTo(1_200)
  await giveAccess(sql, "user:nothing-yet", { scope: null, path: null })
  for (const watcher of [watching, middle, granted]) await right(watcher)
  expect(granted.replica.documents().size).toBeGreaterThan(100)
  away(middle)

  await stack.hold("postgres")
  copyFolder(`${data}-backup`, data)
  await stack.release("postgres")
  await until(() => sql`select 1`, { what: "Postgres is back", deadline: 30_000 })
  await playTo(450)
  comeBack(stack, since, random)
  await right(watching)
  await right(granted)
  comeBack(stack, middle, random)
  for (const watcher of [since, middle, watching, granted]) await right(watcher)
  expect(granted.replica.documents().size).toBe(0)
  await Promise.all([watching, since, middle, granted].map(leave))
}, 180_000)
