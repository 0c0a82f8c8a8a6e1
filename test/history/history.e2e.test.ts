/**
 * Real input: seven years of a real repository, 7,117 commits, played at full speed through Postgres, relay, streams, authz and two edges,
 * while six people watch through the real client. Their networks are cut at random and come back on either edge; grants and
 * memberships come and go in between; the second time services and nats-server are killed as well. In the end every replica is what
 * Postgres says its person may see, and the stream holds each of the 25,007 changes once, in order, every commit whole.
 *
 * A failure names its seed; TIDELINE_SEED makes the same choices again.
 */
import { Effect } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { afterEach, beforeEach, expect, it } from "vitest"
import { connectOnce } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Random } from "#test/support/random.ts"
import { randomFrom } from "#test/support/random.ts"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { until } from "#test/support/until.ts"
import type { Commit } from "../../demo/history/commits.ts"
import { CHANGES, COMMITS, readHistory } from "../../demo/history/commits.ts"
import { play } from "../../demo/history/player.ts"
import type { Watcher } from "./audience.ts"
import { comeBack, leave, untruths, watch, weather } from "./audience.ts"
import { AREAS, giveAccess, PEOPLE, ROLE, ROLE_GRANTS, takeAccess, truthFor } from "./people.ts"
import { eventsOf, streamFaults } from "./whole-stream.ts"

const SEED = Number(process.env["TIDELINE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
/** After how many commits, on average, somebody's access changes. */
const ACCESS_EVERY = 120
/** After how many commits, on average, something is killed, where anything is. */
const KILL_EVERY = 800
const KILLED = ["relay", "authz", "edge-1", "edge-2", "nats"]
/** Milliseconds after the last commit by which everything has caught up. */
const SETTLE_MS = 90_000

let stack: TestStack
let sql: Sql
beforeEach(async () => {
  stack = await startStack()
  sql = postgres(stack.databaseUrl, { max: 4, onnotice: () => {}, connection: { TimeZone: "UTC" } })
  await sql`select authz.revoke_access(principal => 'everyone', entity => 'file')`
  for (const grant of ROLE_GRANTS) await giveAccess(sql, `role:${ROLE}`, grant)
  for (const { name, grants, roles } of PEOPLE) {
    for (const grant of grants) await giveAccess(sql, `user:${name}`, grant)
    for (const role of roles) await sql`select authz.add_member(${role}, ${name})`
  }
})
afterEach(async () => {
  await sql?.end()
  await stack?.stop()
})

/** One change of somebody's access: a grant given or taken, a membership begun or ended. Taking what was not given changes nothing. */
const changeAccess = async (random: Random): Promise<unknown> => {
  const { name } = random.pick(PEOPLE)
  const principal = random.chance(0.2) ? `role:${ROLE}` : `user:${name}`
  const grant = { scope: random.pick(AREAS), path: null }
  switch (random.int(4)) {
    case 0: return sql`select authz.add_member(${ROLE}, ${name})`
    case 1: return sql`select authz.remove_member(${ROLE}, ${name})`
    case 2: return giveAccess(sql, principal, grant)
    default: return takeAccess(sql, principal, grant)
  }
}

/** What is wrong with the stream once it holds everything. */
const faultsOf = (history: ReadonlyArray<Commit>): Promise<ReadonlyArray<string>> =>
  Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const log = jetStreamLog(yield* connectOnce(stack.natsUrl, "history-test"))
    // A mark behind the last change: where it stands, everything before it does.
    yield* Effect.promise(() => giveAccess(sql, "role:nobody", { scope: "the end", path: null }))
    yield* Effect.promise(() => until(
      async () => (await eventsOf(log, "_grant")).some((event) => event.body.includes("the end")),
      { what: "the last grant is in the stream", deadline: SETTLE_MS, every: 100 },
    ))
    return streamFaults(yield* Effect.promise(() => eventsOf(log, "file")), history)
  })))

const wrongWith = async (watcher: Watcher): Promise<ReadonlyArray<string>> => untruths(watcher, await truthFor(sql, watcher.name))

it.each([
  ["on a calm day", Number.POSITIVE_INFINITY],
  ["while services and nats-server are killed", KILL_EVERY],
])(`a real history reaches everybody who may see it, and nobody else, %s (TIDELINE_SEED=${SEED})`, { timeout: 300_000 }, async (_, killEvery) => {
  const random = randomFrom(SEED)
  const history = await Effect.runPromise(readHistory)
  const watchers = await Promise.all(PEOPLE.map(({ name }) => watch(stack, name, random)))
  await Promise.all(watchers.map(({ replica }) => replica.settled()))

  const underway: Array<Promise<unknown>> = []
  const played = await Effect.runPromise(play(sql, history, {
    pace: { kind: "full" },
    onCommit: ({ position }) => {
      weather(stack, watchers, random, position)
      if (random.chance(1 / ACCESS_EVERY)) underway.push(changeAccess(random))
      const victim = random.chance(1 / killEvery) ? random.pick(KILLED) : null
      if (victim !== null && stack.pid(victim) !== null) underway.push(stack.kill(victim))
    },
  }))
  expect(played).toMatchObject({ commits: COMMITS, changes: CHANGES })
  await Promise.all(underway)
  for (const name of KILLED) await stack.ready(name)
  for (const watcher of watchers) if (watcher.back !== null) comeBack(stack, watcher, random)
  expect(watchers.reduce((n, { cuts }) => n + cuts, 0)).toBeGreaterThan(0)

  expect(await faultsOf(history)).toEqual([])
  for (const watcher of watchers) {
    await until(async () => watcher.replica.status$.value.kind === "live" && (await wrongWith(watcher)).length === 0, {
      what: `${watcher.name} holds what Postgres says`, deadline: SETTLE_MS, every: 50,
    }).catch(async (cause: unknown) => {
      throw new Error(`${watcher.name} is ${JSON.stringify(watcher.replica.status$.value)}: ${(await wrongWith(watcher)).slice(0, 10).join("\n")}`, { cause })
    })
  }
  // Nothing came later that should not have.
  expect((await Promise.all(watchers.map(wrongWith))).flat()).toEqual([])
  await Promise.all(watchers.map(leave))
})
