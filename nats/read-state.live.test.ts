/** Every way of reading STATE against the plain one: read everything and sift. */
import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, expect, it } from "vitest"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import type { Log, LogMessage } from "#nats/log.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { applyStreams } from "#nats/streams.ts"
import type { Pattern } from "#protocol/grant.ts"
import { matches } from "#protocol/grant.ts"
import { NEAR_MESSAGES, REPLAY_FILTERS } from "#protocol/limits.ts"
import type { AppendedChange } from "#test/support/append.ts"
import { appendChanges } from "#test/support/append.ts"
import { randomFrom } from "#test/support/random.ts"
import { startNats } from "#test/support/servers.ts"
import type { TestNats } from "#test/support/servers.ts"

const seed = Number(process.env["TIDELINE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
let server: TestNats
let scope: Scope.Closeable
let nats: Nats
let log: Log
/** STATE, sifted by hand. */
let all: ReadonlyArray<LogMessage>

const read = async (patterns: ReadonlyArray<Pattern>, after: number) => {
  const messages: Array<LogMessage> = []
  let announced = -1
  const { position, count } = await log.readState({
    patterns,
    after,
    start: (n) => (announced = n),
    page: (page) => {
      messages.push(...page)
    },
  })
  return { seqs: messages.map((m) => m.seq), position, count, announced }
}

beforeAll(async () => {
  server = await startNats()
  scope = Scope.makeUnsafe()
  nats = await Effect.runPromise(Scope.provide(connectNats(server.url("operator"), "test"), scope))
  await applyStreams(nats)
  log = jetStreamLog(nats)
  const random = randomFrom(seed)
  const batch = (make: (i: number) => AppendedChange) => appendChanges(nats, Array.from({ length: 1_000 }, (_, i) => make(i)))
  const change = (sharing: string | null, entity: string, id: string): AppendedChange => ({ scope: sharing, entity, id, body: random.chance(0.1) ? "" : "{}" })
  // One scope with more rows than a direct get answers, many small ones, ids in several scopes, some without.
  for (let i = 0; i < 2; i++) await batch((n) => change("large", "task", `l${i * 1_000 + n}`))
  for (let i = 0; i < 2; i++) await batch(() => change(`s${random.int(40)}`, random.pick(["task", "note"]), `t${random.int(400)}`))
  await batch((n) => change(null, "person", `p${n % 50}`))
  for (let i = 0; i <= NEAR_MESSAGES / 1_000; i++) await batch((n) => change("filler", "noise", `n${n}`))
  await batch(() => change(`s${random.int(40)}`, "task", `t${random.int(400)}`))
  const messages: Array<LogMessage> = []
  await log.readState({ patterns: ["task", "note", "person", "noise"].map((entity) => ({ entity, scope: null, id: null })), after: 0, page: (page) => { messages.push(...page) } })
  all = messages
}, 60_000)

afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await server.stop()
})

const task = (sharing: string | null, id: string | null = null): Pattern => ({ entity: "task", scope: sharing, id })
const several = <A>(count: number, make: (i: number) => A): ReadonlyArray<A> => Array.from({ length: count }, (_, i) => make(i))

const views: ReadonlyArray<readonly [string, ReadonlyArray<Pattern>]> = [
  ["a scope", [task("s1")]],
  ["a scope too large for a direct get", [task("large")]],
  ["a large scope among small ones", [task("large"), ...several(10, (i) => task(`s${i}`))]],
  ["more scopes than direct gets are for", several(40, (i) => task(`s${i}`))],
  ["more scopes than one reader takes", several(450, (i) => task(`s${i}`))],
  ["entities in a scope", several(1_200, (i) => task("large", `l${i}`))],
  ["entities wherever they are", several(150, (i) => task(null, `t${i}`))],
  ["more entities than one reader takes, wherever they are", several(400, (i) => task(null, `t${i}`))],
  ["more entities than one reader takes, some with their scopes, and a scope", [...several(150, (i) => task(null, `t${i}`)), ...several(150, (i) => task(`s${i % 40}`, `t${150 + i}`)), { entity: "note", scope: null, id: "t9" }, task("s3")]],
  ["a scope and entities wherever they are", [task("s3"), ...several(20, (i) => task(null, `t${i}`))]],
  ["a type", [task(null)]],
  ["types, scopes and entities", [{ entity: "person", scope: null, id: null }, task("s5"), task("large", "l7"), { entity: "note", scope: null, id: "t9" }]],
  ["what is not there", [task("nowhere"), task("s1", "none"), { entity: "other", scope: null, id: null }]],
]

for (const [name, patterns] of views) {
  it(`reads ${name}, from the start, from far and from near (TIDELINE_SEED=${seed})`, async () => {
    const last = all.at(-1)!.seq
    for (const after of [0, 3_500, last - 500]) {
      const wanted = all.filter((m) => m.seq > after && patterns.some((p) => matches(p, m.address))).map((m) => m.seq)
      const { seqs, position, count, announced } = await read(patterns, after)
      expect(seqs).toEqual(wanted)
      expect(position).toBe(last)
      expect(count).toBe(wanted.length)
      // Patterns that overlap count twice what both match, and many entities count as one message each.
      const entities = patterns.filter((p) => p.id !== null)
      expect(announced).toBeGreaterThanOrEqual(entities.length > REPLAY_FILTERS ? Math.min(wanted.length, entities.length) : wanted.length)
    }
  })
}

it("reads a long one with one consumer", async () => {
  let made = 0
  const advisories = nats.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.CREATED.STATE.>", { callback: () => void made++ })
  const { count } = await read([{ entity: "task", scope: null, id: null }, { entity: "noise", scope: null, id: null }], 0)
  await nats.connection.flush()
  expect(count).toBeGreaterThan(3 * 1_000)
  expect(made).toBe(1)
  advisories.unsubscribe()
})
