/**
 * An edge is killed in the middle of telling a role's members that a scope is lost and another one theirs: some were told, some not, some hold part of
 * what was given, and some browsers die with it. They come back to the other edge and to the restarted one with what cursors they have. Twice
 * compared, as in the program: documents with Postgres, and every frame that was sent with the log.
 */
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterEach, expect, it } from "vitest"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { EdgeStation, Front } from "../program/front.ts"
import { makeFront } from "../program/front.ts"
import { History } from "../program/history.ts"
import { Judge } from "../program/judge.ts"
import { canonical, differences, truthFor } from "../program/oracle.ts"
import { Rights } from "../program/rights.ts"
import { TABLES } from "../program/tables.ts"
import { Watcher } from "../program/watcher.ts"
import { randomFrom } from "../support/random.ts"
import { startRelay } from "../support/relay.ts"
import { migratedPostgres, startNats } from "../support/servers.ts"
import { until } from "../support/until.ts"

const MEMBERS = 120
/** Each member has two browsers. */
const BROWSERS = 2
/** Rows of the scope that is given while the other one is taken: giving them to all takes the edge a while. */
const GIVEN = 150
const SEED = Number(process.env["TIDELINE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
const PATIENT = { deadline: 30_000 }

const undo: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const each of undo.splice(0).toReversed()) await each().catch(() => undefined)
})

/** A client and the edges it knows. */
interface Member {
  readonly watcher: Watcher
  readonly doors: { edges: ReadonlyArray<EdgeStation> }
}

it(`an edge that is killed in the middle of a revocation tells nobody too much, and everybody ends with what they may see (TIDELINE_SEED=${SEED})`, async () => {
  const random = randomFrom(SEED)
  const [pg, server] = await Promise.all([migratedPostgres(), startNats()])
  undo.push(pg.stop, server.stop)
  const sql = postgres(pg.url(), { max: 3, onnotice: () => {}, connection: { TimeZone: "UTC" } })
  undo.push(() => sql.end({ timeout: 1 }))
  await sql.unsafe(TABLES)
  await sql.unsafe(`
    insert into program.card select s || g, s, 'first', g from generate_series(1, 5) g, unnest(array['lent', 'own']) s;
    insert into program.card select 'given' || g, 'given', 'first', g from generate_series(1, ${GIVEN}) g;
    select authz.add_member('company', 'm' || g) from generate_series(1, ${MEMBERS}) g;
    select authz.grant_access('role:company', scope => s, level => 'VIEW') from unnest(array['lent', 'own']) s;
    select authz.grant_access('user:m' || g, scope => 'lent', entity => 'card', level => 'VIEW') from generate_series(1, ${MEMBERS}, 10) g`)
  const relay = await startRelay(pg.url("tide_relay"), server.url("relay"))
  undo.push(() => relay.end("SIGKILL"))
  const scope = Scope.makeUnsafe()
  undo.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "disaster"), scope))
  const log = jetStreamLog(nats)
  const front = await makeFront({ postgres: pg, nats: server, edges: 2, authz: 1, linked: false })
  undo.push(front.close)
  const services = [...front.authz, ...front.edges]
  await Promise.all(services.map((station) => station.start()))
  await Promise.all(services.map((station) => station.ready()))
  const [dying, other] = front.edges as [EdgeStation, EdgeStation]

  const members: Array<Member> = []
  undo.push(async () => members.forEach(({ watcher }) => watcher.disconnect(false)))
  for (let i = 0; i < MEMBERS; i++) {
    const token = await front.signIn(`m${i + 1}`)
    for (let browser = 0; browser < BROWSERS; browser++) {
      const doors: Member["doors"] & Front = { ...front, edges: [members.length % 6 === 5 ? other : dying] }
      const watcher = new Watcher(`m${i + 1}-${browser}`, `m${i + 1}`, token, doors, randomFrom(random.int(2 ** 31)), () => 0)
      watcher.subscribe({ entity: "card", scopes: null, ids: null })
      members.push({ watcher, doors })
      watcher.connect()
    }
  }
  const keepsLent = (user: string): boolean => Number(user.slice(1)) % 10 === 1
  const cards = ({ watcher }: Member, in_: string): number => [...watcher.replica.documents.values()].filter((document) => document.scope === in_).length
  const everybody = (what: string, so: (member: Member) => boolean) => until(() => members.every(so), { what, ...PATIENT })
  await everybody("all are live with what is lent to them", (member) => member.watcher.replica.live && cards(member, "lent") === 5)

  // Rows of all scopes are written all the while.
  let writing = true
  const writes = (async () => {
    for (let n = 0; writing; n++) await sql`update program.card set n = ${n} where id in (${`lent${1 + (n % 5)}`}, ${`own${1 + (n % 5)}`}, ${`given${1 + (n % GIVEN)}`})`
  })()
  undo.push(async () => {
    writing = false
    await writes
  })
  const fromDying = members.filter(({ doors }) => doors.edges.includes(dying))
  // These read nothing more before they are cut off.
  const deaf = fromDying.filter((_, i) => i % 8 === 0)
  for (const { watcher } of deaf) watcher.stall()
  const marks = new Map(members.map(({ watcher }) => [watcher, watcher.replica.received.length]))
  const isTold = ({ watcher }: Member): boolean =>
    watcher.replica.received.slice(marks.get(watcher)).some((frame) => frame.type === "RESET" || (frame.type === "ACCESS_REVOKED" && frame.payload.entityCode === "card" && frame.payload.scope === "lent"))
  const isPartial = ({ watcher }: Member): boolean => watcher.replica.stored.cursor?.includes("*") === true
  const standings = () => ({ told: fromDying.filter(isTold).length, untold: fromDying.filter((member) => !isTold(member) && !keepsLent(member.watcher.user)).length, partial: fromDying.filter(isPartial).length })

  await sql`select authz.revoke_access('role:company', scope => 'lent'), authz.grant_access('role:company', scope => 'given', level => 'VIEW')`
  await until(() => fromDying.some(isTold) && fromDying.some(isPartial), { what: "some are told, and some stand in the middle", every: 0, ...PATIENT })
  dying.pause()
  const middle = standings()
  for (const [i, { watcher }] of fromDying.entries()) {
    // Every third browser dies as well, with the documents of its last frame stored and its cursor not.
    if (i % 8 === 0 || i % 3 === 0) watcher.disconnect(i % 3 === 0)
  }
  await dying.kill()
  for (const [i, { doors }] of fromDying.entries()) doors.edges = [i % 2 === 0 ? dying : other]
  for (const { watcher } of fromDying) watcher.connect()
  await dying.start()
  await dying.ready()
  await everybody("all are live with what was given to them", (member) => member.watcher.replica.live && cards(member, "given") === GIVEN)
  writing = false
  await writes
  const [row] = await sql<Array<{ v: string }>>`update program.tick set v = 1 returning v`
  await everybody("all have what was written last", ({ watcher }) => watcher.replica.live && watcher.replica.documents.get("tick/0")?.body.includes(`"v":${row!.v}`) === true)

  for (const some of [middle.told, middle.untold, middle.partial]) expect(some).toBeGreaterThan(0)
  const [history, rights] = [new History(log), new Rights()]
  let revoked = 0
  await history.read((message) => {
    rights.apply(message)
    const before = message.before === null ? null : (JSON.parse(message.before) as { principal?: string; scope?: string })
    if (message.operation === "DELETE" && message.address.entity === "_grant" && before?.principal === "role:company" && before.scope === "lent") revoked = message.seq
  })
  expect(revoked).toBeGreaterThan(0)
  const judge = new Judge(history, rights)
  const wrong: Array<string> = []
  for (const member of members) {
    const { watcher } = member
    const { client, user, replica } = watcher
    const truth = await truthFor(sql, user, watcher.asked)
    const is = new Map([...replica.documents].map(([key, { scope: in_, body }]) => [key, `${in_} ${canonical(JSON.parse(body))}`]))
    wrong.push(...differences(is, truth).map((what) => `${client} ${what}`), ...replica.complaints.map((what) => `${client}: ${what}`))
    const heard = replica.received.flatMap((frame) => (frame.type === "CHANGES" ? frame.payload.changes : [])).filter((change) => change.scope === "lent" && change.version > revoked)
    if (keepsLent(user) ? heard.length === 0 : heard.length > 0) wrong.push(`${client} heard ${heard.length} times of what is lent after ${revoked}`)
    // Who held it was told to forget it; the others hold it still.
    if (!keepsLent(user) && !isTold(member)) wrong.push(`${client} was not told to forget what is lent`)
    judge.client(client, user, watcher.take())
  }
  expect([...wrong, ...judge.take()].slice(0, 10)).toEqual([])
  expect(judge.counts.given).toBeGreaterThan(0)
}, 90_000)
