/** What stands between the log and the clients dies, is held still, or loses its link to nats-server: an edge, an authz, the command service. */
import { setTimeout as after } from "node:timers/promises"
import type { Random } from "#test/support/random.ts"
import type { Station } from "../../program/station.ts"
import type { Direction } from "../world/frames.ts"
import type { World } from "../world/world.ts"
import type { FaultKind } from "./kind.ts"
import { anywhere } from "./kind.ts"

const frontOf = (world: World) => {
  if (world.audience === null) throw new Error("nobody watches in this world: there is no edge")
  return world.audience.front
}

/** Milliseconds at most that something is away. */
const AWAY_MS = 1_500

const kill = (name: string, what: string, which: (world: World) => ReadonlyArray<Station>): FaultKind => ({
  name,
  what,
  at: anywhere,
  front: true,
  strike: async (world, _moment, random) => {
    const stations = which(world)
    const killed = random.chance(0.2) ? stations : [random.pick(stations)]
    await Promise.all(killed.map((station) => station.kill()))
    const ms = random.int(AWAY_MS)
    await after(ms)
    await Promise.all(killed.map((station) => station.start()))
    await Promise.all(killed.map((station) => station.ready()))
    return `${killed.map((station) => station.name).join(" and ")}, ${ms} ms`
  },
})

export const killEdge = kill("kill-edge", "SIGKILL of an edge, or of all; started again", (world) => frontOf(world).edges)
export const killAuthz = kill("kill-authz", "SIGKILL of an authz, or of all; started again", (world) => frontOf(world).authz)
export const killCommand = kill("kill-command", "SIGKILL of the command service; started again", (world) => [frontOf(world).command])

const pause = (name: string, what: string, which: (world: World) => ReadonlyArray<Station>): FaultKind => ({
  name,
  what,
  at: anywhere,
  front: true,
  strike: async (world, _moment, random) => {
    const station = random.pick(which(world))
    const ms = 200 + random.int(2_800)
    station.pause()
    await after(ms)
    station.resume()
    return `${station.name}, ${ms} ms`
  },
})

export const pauseEdge = pause("pause-edge", "SIGSTOP of an edge for up to 3 seconds", (world) => frontOf(world).edges)
export const pauseAuthz = pause("pause-authz", "SIGSTOP of an authz for up to 3 seconds", (world) => frontOf(world).authz)

const WAYS: ReadonlyArray<ReadonlyArray<Direction>> = [["up"], ["down"], ["up", "down"]]
const anyone = (world: World, random: Random): Station => random.pick(frontOf(world).all)

export const cutFront: FaultKind = {
  name: "cut-front",
  what: "every connection between nats-server and an edge, an authz or the command service is reset, new ones too, for up to 2 seconds",
  at: anywhere,
  front: true,
  weight: 2,
  strike: async (world, _moment, random) => {
    const station = anyone(world, random)
    station.link?.cut()
    const ms = random.int(2_000)
    await after(ms)
    station.link?.mend()
    await station.ready()
    return `${station.name}, ${ms} ms`
  },
}

export const hangFront: FaultKind = {
  name: "hang-front",
  what: "a link between nats-server and an edge, an authz or the command service takes bytes and holds them, in one direction or both, for up to 3 seconds",
  at: anywhere,
  front: true,
  weight: 2,
  strike: async (world, _moment, random) => {
    const station = anyone(world, random)
    const ways = random.pick(WAYS)
    const ms = 100 + random.int(2_900)
    const end = random.chance(0.5) ? "goes on" : "is reset"
    station.link?.hang(ways)
    await after(ms)
    if (end === "is reset") station.link?.cut()
    station.link?.mend()
    await station.ready()
    return `${station.name}, ${ways.join(" and ")}, ${ms} ms, then it ${end}`
  },
}
