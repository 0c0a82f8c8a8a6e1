/**
 * The world in which things fail: a Postgres, a nats-server, two relays, a link between each pair, and writers that never rest. What is
 * checked is read past the links, by connections of the program's own.
 */
import { cpSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import type { Sql } from "#db/postgres.ts"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Log } from "#nats/log.ts"
import { CHANGES } from "#nats/streams.ts"
import { changeSubject } from "#protocol/subject.ts"
import { randomFrom } from "#test/support/random.ts"
import type { Random } from "#test/support/random.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"
import { readHistory } from "../../../demo/history/commits.ts"
import { allWriters } from "../writers/all.ts"
import { writeMany } from "../writers/bulk.ts"
import { TABLES } from "../writers/schema.ts"
import type { Turn, Writers } from "../writers/writer.ts"
import { startWriters } from "../writers/writer.ts"
import type { Audience } from "./audience.ts"
import { openAudience } from "./audience.ts"
import { openConnection } from "./connection.ts"
import type { Relay } from "./relay.ts"
import { makeRelay } from "./relay.ts"

export interface World {
  readonly postgres: TestPostgres
  readonly server: TestNats
  readonly relays: readonly [Relay, Relay]
  /** As superuser, as operator: not through the links. */
  readonly sql: Sql
  readonly nats: Nats
  readonly log: Log
  readonly writers: Writers
  /** Null where nobody watches. */
  readonly audience: Audience | null
  /** The relay that works; waits until one does. */
  readonly active: () => Promise<Relay>
  /** The other one. */
  readonly other: (relay: Relay) => Relay
  /** One transaction of 2,500 rows; many small ones, one right after the other. */
  readonly bulk: () => Promise<unknown>
  readonly flurry: () => Promise<unknown>
  /** Resolves when nobody has a transaction open; none begins until the writers go on. */
  readonly standStill: () => Promise<void>
  /** The last sequence of CHANGES; 0 where there is none. */
  readonly published: () => Promise<number>
  /** Writes a row and waits until its change is in the stream. */
  readonly mark: (deadline: number) => Promise<void>
  /** Everything runs again, every link is good. */
  readonly heal: () => Promise<void>
  /** Takes a copy of nats-server's store; `back` puts it in the place of the present one: all of it, or CHANGES alone, whose mirror then lost nothing. */
  readonly copyStore: () => Promise<{ readonly back: (what: "everything" | "CHANGES") => Promise<void> }>
  /** What was acknowledged until now is lost on purpose: an epoch must follow, at most so many. */
  readonly lost: (epochs: number) => void
  readonly lostSomething: () => boolean
  /** What was lost since the last call: how many times, and how many epochs may have come of it. */
  readonly losses: () => { readonly least: number; readonly most: number }
  readonly stop: () => Promise<void>
}

/** `watched`: with edges, authz, the command service and clients. */
export const openWorld = async (seed: number, watched: boolean): Promise<World> => {
  const undo: Array<() => Promise<unknown>> = []
  const stop = async (): Promise<void> => {
    for (const each of undo.toReversed()) await each().catch(() => undefined)
  }
  try {
    return await build(seed, watched, undo, stop)
  } catch (cause) {
    await stop()
    throw cause
  }
}

const build = async (seed: number, watched: boolean, undo: Array<() => Promise<unknown>>, stop: () => Promise<void>): Promise<World> => {
  const kept = async <A extends { readonly stop: () => Promise<void> }>(starting: Promise<A>): Promise<A> => {
    const started = await starting
    undo.push(started.stop)
    return started
  }
  const [pg, server, history] = await Promise.all([kept(migratedPostgres({ demo: true })), kept(startNats()), Effect.runPromise(readHistory)])
  const connect = (name: string, lost?: () => void): Sql => openConnection(pg.url(), name, lost)
  const sql = openConnection(pg.url(), "check", undefined, 4)
  undo.push(() => sql.end({ timeout: 1 }))
  // The writer with two-phase commits needs it, and it counts from a start only.
  await sql`alter system set max_prepared_transactions = 10`
  await pg.restart()
  await until(() => sql`select 1`, { what: "Postgres is back" })
  await sql.unsafe(TABLES)

  const scope = Scope.makeUnsafe()
  undo.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "faults"), scope))
  const log = jetStreamLog(nats)

  const place = (name: string) => ({
    name,
    postgres: { url: pg.url("tide_relay"), port: pg.port },
    nats: { url: server.url("relay"), port: server.port },
  })
  const relays = [await makeRelay(place("a")), await makeRelay(place("b"))] as const
  for (const relay of relays) undo.push(relay.close)
  for (const relay of relays) await relay.start()

  const writers = startWriters(allWriters(history).map((writer, i) => ({ writer, random: randomFrom(seed * 31 + i) })), connect)
  undo.push(writers.stop)

  const audience = watched ? await openAudience({ seed, postgres: pg, server, sql, nats, log }) : null
  if (audience !== null) {
    undo.push(audience.stop)
    audience.goOn()
  }
  const everybody: Writers = {
    ...writers,
    standStill: async () => void (await Promise.all([writers.standStill(), audience?.standStill()])),
    goOn: () => {
      writers.goOn()
      audience?.goOn()
    },
  }

  const hand = connect("provoker")
  undo.push(() => hand.end({ timeout: 1 }))
  let provoked = 0
  let provoking: Promise<unknown> = Promise.resolve()
  const random: Random = randomFrom(seed)
  const turn: Turn = { sql: hand, random, pause: () => Promise.resolve(), next: () => `provoker:${++provoked}`, acknowledged: () => {} }

  const published = (): Promise<number> => log.head().then((head) => head.last, () => 0)
  let marks = 0
  let losses = { least: 1, most: 1 }
  const lost = (epochs: number): void => void (losses = { least: losses.least + 1, most: losses.most + epochs })

  return {
    postgres: pg,
    server,
    relays,
    sql,
    nats,
    log,
    writers: everybody,
    audience,
    active: () =>
      until(async () => {
        for (const relay of relays) if ((await relay.state()).active) return relay
        return null
      }, { what: "a relay works", deadline: 30_000 }).catch(async (cause: Error) => {
        throw new Error(`${cause.message}: ${JSON.stringify(await Promise.all(relays.map((relay) => relay.state())))}`, { cause })
      }),
    other: (relay) => relays.find((each) => each !== relay)!,
    standStill: async () => {
      await everybody.standStill()
      await provoking
    },
    bulk: () => (provoking = provoking.then(() => writeMany(turn, 2_500).catch(() => undefined))),
    flurry: () => (provoking = provoking.then(async () => {
      const first = provoked
      provoked += FLURRY
      // One statement, many commits: nothing is waited for between them.
      await hand.unsafe(`do $$ begin
        for i in ${first + 1} .. ${first + FLURRY} loop
          perform set_config('tide.mutation_id', 'provoker:' || i, true);
          update fault.mark set v = v + 1 where id = 1;
          commit;
        end loop;
      end $$`).catch(() => undefined)
    })),
    published,
    mark: async (deadline) => {
      const v = ++marks
      await until(() => sql`update fault.mark set v = ${v} where id = 0`, { what: "Postgres takes a row", deadline, every: 20 })
      // A question that is asked while the server is away waits out its own time.
      await until(nats.connected, { what: "nats-server is back", deadline })
      await until(async () => {
        // Asked of CHANGES: a mirror that lost its origin for a moment may take ten seconds to find it again.
        const newest = await nats.jetstream.streams.getMessage(CHANGES, { last_by_subj: MARK })
        return newest !== null && newest.json<{ v: number }>().v >= v
      }, { what: "a new change is published", deadline, every: 10 })
    },
    heal: async () => {
      for (const { links, resume, start } of relays) {
        for (const link of [links.postgres, links.nats]) {
          link.watch(null)
          link.release()
          link.mend()
        }
        resume()
        await start()
      }
      server.resume()
      await audience?.heal()
    },
    copyStore: async () => {
      const backup = `${server.storeDir}-backup`
      await server.kill()
      rmSync(backup, { recursive: true, force: true })
      cpSync(server.storeDir, backup, { recursive: true })
      await server.restart()
      return {
        back: async (what) => {
          const part = what === "everything" ? "jetstream" : join("jetstream", "TIDELINE", "streams", what)
          await server.kill()
          rmSync(join(server.storeDir, part), { recursive: true })
          cpSync(join(backup, part), join(server.storeDir, part), { recursive: true })
          rmSync(backup, { recursive: true })
          await server.restart()
        },
      }
    },
    lost,
    lostSomething: () => losses.least > 0,
    losses: () => {
      const since = losses
      losses = { least: 0, most: 0 }
      return since
    },
    stop,
  }
}

const MARK = changeSubject({ scope: null, entity: "mark", id: "0" })
/** Commits in a flurry: enough to keep a relay awake for some looks. */
const FLURRY = 2_000
