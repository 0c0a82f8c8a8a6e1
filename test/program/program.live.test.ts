/**
 * Ten thousand steps by chance on real servers: Postgres, nats-server, a relay, two authz, three edges and the command service, each a process
 * that may be killed, and sixteen clients of eight users over the wire. Twice compared: documents with Postgres (oracle.ts), and every
 * frame that was sent with the log (judge.ts). No leak, nothing lost, no mutation without the right to it.
 *
 * A failure names its seed; TIDELINE_SEED makes the same choices again, TIDELINE_STEPS as many of them as it says.
 */
import { Effect, Exit, Scope } from "effect"
import postgres from "postgres"
import { afterEach, expect, it } from "vitest"
import { connectNats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import type { Random } from "#test/support/random.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { startRelay } from "#test/support/relay.ts"
import { migratedPostgres, startNats } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"
import type { Front } from "./front.ts"
import { makeFront } from "./front.ts"
import { CHECKPOINT, everything, openProgram } from "./program.ts"
import type { Station } from "./station.ts"
import { TABLES } from "./tables.ts"

const SEED = Number(process.env["TIDELINE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
const STEPS = Number(process.env["TIDELINE_STEPS"] ?? 10_000)

const undo: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const each of undo.splice(0).toReversed()) await each().catch(() => undefined)
})

it(`shows each user what Postgres says, and nothing else, whatever happens (TIDELINE_SEED=${SEED})`, { timeout: Math.max(300_000, STEPS * 60) }, async () => {
  const [pg, server] = await Promise.all([migratedPostgres(), startNats()])
  undo.push(pg.stop, server.stop)
  const sql = postgres(pg.url(), { max: 2, onnotice: () => {}, connection: { TimeZone: "UTC" } })
  undo.push(() => sql.end({ timeout: 1 }))
  await sql.unsafe(TABLES)
  let relay: RelayProcess | null = await startRelay(pg.url("tide_relay"), server.url("relay"))
  undo.push(async () => relay?.end("SIGKILL"))
  const started = relay
  await until(async () => (await started.reasons())?.length === 0, { what: "the relay works", deadline: 30_000 })
  const scope = Scope.makeUnsafe()
  undo.push(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const nats = await Effect.runPromise(Scope.provide(connectNats(server.url(), "program"), scope))
  const front = await makeFront({ postgres: pg, nats: server, edges: 3, authz: 2, linked: false })
  undo.push(front.close)
  await Promise.all(front.all.map((station) => station.start()))
  await Promise.all(front.all.map((station) => station.ready()))

  const killRelay = async () => {
    const dying = relay
    relay = null
    await dying?.end("SIGKILL")
    return async () => void (relay ??= await startRelay(pg.url("tide_relay"), server.url("relay")))
  }
  const program = await openProgram({
    seed: SEED, databaseUrl: pg.url(), sql, nats, log: jetStreamLog(nats), front,
    trouble: [...troubles(front), killRelay],
  })
  undo.push(program.close)

  const check = async (everybody: boolean): Promise<void> => {
    const wrong = everything(await program.checkpoint({ everybody }))
    if (wrong.length > 0) throw new Error(`TIDELINE_SEED=${SEED}, ${wrong.length} wrong by step ${program.steps()}:\n${wrong.slice(0, 12).join("\n")}`)
  }
  await check(true)
  while (program.steps() < STEPS) {
    await program.step()
    if (program.steps() % CHECKPOINT === 0) await check(program.steps() === STEPS)
  }
  if (STEPS % CHECKPOINT !== 0) await check(true)
  const counts = program.counts()
  process.stdout.write(`program: seed ${SEED}, ${STEPS} steps, ${counts.frames} frames, ${counts.changes} changes checked, 0 leaks; ${JSON.stringify(counts)}\n`)
  expect(counts).toMatchObject({ oracle: expect.toSatisfy((n: number) => n > 16) })
  for (const few of [counts.frames, counts.changes, counts.given, counts.revoked, counts.reads, counts.mutations]) expect(few).toBeGreaterThan(STEPS / 100)
})

/** A service dies and comes back, or is held still for a while. */
const troubles = ({ edges, authz, command }: Front): ReadonlyArray<(random: Random) => Promise<() => Promise<void>>> => {
  const kill = (which: ReadonlyArray<Station>) => async (random: Random) => {
    const station = random.pick(which)
    await station.kill()
    return station.start
  }
  const pause = (which: ReadonlyArray<Station>) => async (random: Random) => {
    const station = random.pick(which)
    station.pause()
    return async () => station.resume()
  }
  return [kill(edges), kill(edges), kill(authz), kill(authz), kill([command]), pause(edges), pause(authz)]
}
