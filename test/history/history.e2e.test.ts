/**
 * Real input: seven years of a real repository, 7,117 commits, played at full speed through Postgres, relay, streams, authz and two edges,
 * while six people watch through the real client. Their networks are cut at random and come back on either edge; grants and
 * memberships come and go in between. In the end every replica is what Postgres says its person may see, and the stream
 * holds each of the 25,007 changes once, in order, every commit whole. A failure names its seed; TIDELINE_SEED runs it again.
 */
import { Effect } from "effect"
import postgres from "postgres"
import type { Sql } from "postgres"
import { getRxStorageMemory } from "rxdb/plugins/storage-memory"
import { afterAll, beforeAll, expect, it } from "vitest"
import { connectOnce } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Random } from "#test/support/random.ts"
import { randomFrom } from "#test/support/random.ts"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { until } from "#test/support/until.ts"
import { CHANGES, COMMITS, readHistory } from "../../demo/history/commits.ts"
import { play } from "../../demo/history/player.ts"
import { createReplica } from "../../web/src/sync/client.ts"
import type { Replica } from "../../web/src/sync/replica.ts"
import { openRxStore } from "../../web/src/sync/store-rxdb.ts"
import type { Link } from "./link.ts"
import { openLink } from "./link.ts"
import type { Grant, Person } from "./people.ts"
import { AREAS, canonical, giveAccess, PEOPLE, ROLE, ROLE_GRANTS, takeAccess, truthFor } from "./people.ts"
import { eventsOf, streamFaults } from "./whole-stream.ts"

const seed = Number(process.env["TIDELINE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
/** After how many commits, on average, a person's network is cut, and how many it stays away. */
const CUT_EVERY = 700
const AWAY = 400
/** After how many commits, on average, somebody's access changes. */
const ACCESS_EVERY = 120
/** Milliseconds after the last commit by which every replica has caught up. */
const SETTLE_MS = 60_000

interface Watcher {
  readonly person: Person
  readonly replica: Replica
  readonly link: Link
  /** The commit at which the network comes back, or null while it is up. */
  back: number | null
  cuts: number
}

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

const edgePort = (index: number): number => Number(new URL(stack.edgeUrls[index]!).port)

const watch = async (person: Person, random: Random): Promise<Watcher> => {
  const link = await openLink(edgePort(random.int(2)))
  const replica = await createReplica({
    user: person.name,
    token: await stack.token(person.name),
    url: `ws://127.0.0.1:${link.port}/ws`,
    subscriptions: [{ entityCode: "file" }],
    store: await openRxStore({ name: `history-${person.name}-${seed}`, storage: getRxStorageMemory(), shared: false }),
  })
  return { person, replica, link, back: null, cuts: 0 }
}

/** Cuts and restores networks as the commits go by. */
const weather = (watchers: ReadonlyArray<Watcher>, random: Random) => (commit: number): void => {
  for (const watcher of watchers) {
    if (watcher.back === null && random.chance(1 / CUT_EVERY)) {
      watcher.link.cut()
      watcher.cuts++
      watcher.back = commit + 1 + random.int(2 * AWAY)
    } else if (watcher.back !== null && commit >= watcher.back) comeBack(watcher, random)
  }
}

const comeBack = (watcher: Watcher, random: Random): void => {
  watcher.link.restore(edgePort(random.int(2)))
  watcher.back = null
  watcher.replica.hurry()
}

/** One change of somebody's access: a grant given or taken, a membership begun or ended. Taking what was not given changes nothing. */
const changeAccess = async (random: Random): Promise<void> => {
  const { name } = random.pick(PEOPLE)
  const principal = random.chance(0.2) ? `role:${ROLE}` : `user:${name}`
  const grant: Grant = { scope: random.pick(AREAS), path: null }
  switch (random.int(4)) {
    case 0: return void (await sql`select authz.add_member(${ROLE}, ${name})`)
    case 1: return void (await sql`select authz.remove_member(${ROLE}, ${name})`)
    case 2: return giveAccess(sql, principal, grant)
    default: return takeAccess(sql, principal, grant)
  }
}

/** What the replica holds, by path. */
const held = (replica: Replica): ReadonlyMap<string, string> =>
  new Map([...replica.documents().values()].filter((doc) => doc.entity === "file").map((doc) => [doc.id, canonical(doc.data)]))

/** What is wrong with one replica, in words; nothing where it is the truth. */
const difference = (is: ReadonlyMap<string, string>, should: ReadonlyMap<string, string>): ReadonlyArray<string> => [
  ...[...should].filter(([path]) => !is.has(path)).map(([path]) => `${path} is missing`),
  ...[...is].filter(([path]) => !should.has(path)).map(([path]) => `${path} should not be there`),
  ...[...should].filter(([path, row]) => is.has(path) && is.get(path) !== row).map(([path, row]) => `${path} is ${is.get(path)}, should be ${row}`),
]

it(`a real history reaches everybody who may see it, and nobody else (TIDELINE_SEED=${seed})`, { timeout: 300_000 }, async () => {
  const random = randomFrom(seed)
  const history = await Effect.runPromise(readHistory)
  const watchers = await Promise.all(PEOPLE.map((person) => watch(person, random)))
  await Promise.all(watchers.map(({ replica }) => replica.settled()))

  const sky = weather(watchers, random)
  const access: Array<Promise<void>> = []
  const played = await Effect.runPromise(play(sql, history, {
    pace: { kind: "full" },
    onCommit: ({ position }) => {
      sky(position)
      if (random.chance(1 / ACCESS_EVERY)) access.push(changeAccess(random))
    },
  }))
  expect(played).toMatchObject({ commits: COMMITS, changes: CHANGES })
  await Promise.all(access)
  for (const watcher of watchers) if (watcher.back !== null) comeBack(watcher, random)
  expect(watchers.reduce((n, { cuts }) => n + cuts, 0)).toBeGreaterThan(0)

  const faults = await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const nats = yield* connectOnce(stack.natsUrl, "history-test")
    const log = jetStreamLog(nats)
    // A mark behind the last change: who stands there has seen everything before it.
    yield* Effect.promise(() => giveAccess(sql, "role:nobody", { scope: "the end", path: null }))
    yield* Effect.promise(async () => {
      await until(async () => (await eventsOf(log, "_grant")).some((event) => event.body.includes("the end")), { what: "the last grant is in the stream", deadline: SETTLE_MS, every: 100 })
    })
    return streamFaults(yield* Effect.promise(() => eventsOf(log, "file")), history)
  })))
  expect(faults).toEqual([])

  const wrong = async ({ person, replica }: Watcher): Promise<ReadonlyArray<string>> => difference(held(replica), await truthFor(sql, person.name))
  for (const watcher of watchers) {
    const { person, replica } = watcher
    await until(async () => replica.status$.value.kind === "live" && (await wrong(watcher)).length === 0, {
      what: `${person.name} holds what Postgres says`, deadline: SETTLE_MS, every: 50,
    }).catch(async (error: unknown) => {
      throw new Error(`${person.name} is ${JSON.stringify(replica.status$.value)}: ${(await wrong(watcher)).slice(0, 10).join("\n")}`, { cause: error })
    })
  }
  // Nothing came later that should not have.
  expect((await Promise.all(watchers.map(wrong))).flat()).toEqual([])
  await Promise.all(watchers.map(async ({ replica, link }) => {
    await replica.close()
    await link.close()
  }))
})
