/** The network between a relay and a server: cut, half open, slow, or with something in it that arrives too late. */
import { setTimeout as after } from "node:timers/promises"
import type { Random } from "#test/support/random.ts"
import { until } from "#test/support/until.ts"
import type { Moment } from "../steps/arm.ts"
import type { Direction } from "../world/frames.ts"
import type { Link } from "../world/link.ts"
import type { FaultKind } from "./kind.ts"
import { anyStep } from "./kind.ts"

const aLink = ({ relay }: Moment, random: Random): Link => (random.chance(0.5) ? relay.links.postgres : relay.links.nats)

export const cut: FaultKind = {
  name: "cut",
  what: "every connection between the relay and one of the servers is reset, new ones too, for up to 2 seconds",
  at: anyStep,
  weight: 2,
  strike: async (_world, moment, random) => {
    const link = aLink(moment, random)
    link.cut()
    moment.release()
    const ms = random.int(2_000)
    await after(ms)
    link.mend()
    return `between ${link.name}, ${ms} ms`
  },
}

const WAYS: ReadonlyArray<ReadonlyArray<Direction>> = [["up"], ["down"], ["up", "down"]]

export const hang: FaultKind = {
  name: "hang",
  what: "a link takes bytes and holds them, in one direction or both, for up to 3 seconds or until the other relay has taken over",
  at: anyStep,
  recovers: 45_000,
  strike: async (world, moment, random) => {
    const link = aLink(moment, random)
    const ways = random.pick(WAYS)
    const long = random.chance(0.1) && link === moment.relay.links.postgres
    const ms = 100 + random.int(2_900)
    const end = random.chance(0.5) ? "goes on" : "is reset"
    await world.other(moment.relay).start()
    link.hang(ways)
    moment.release()
    if (long) await until(async () => (await world.other(moment.relay).state()).active, { what: "the other relay takes over from one behind a hung link", deadline: 40_000, every: 50 })
    else await after(ms)
    if (end === "is reset") link.cut()
    link.mend()
    return `between ${link.name}, ${ways.join(" and ")}, ${long ? "until the other took over" : `${ms} ms`}, then it ${end}`
  },
}

export const slow: FaultKind = {
  name: "slow",
  what: "each message between the relay and a server takes up to 150 ms, for a second",
  at: anyStep,
  recovers: 45_000,
  strike: async (_world, moment, random) => {
    const link = aLink(moment, random)
    const ms = 5 + random.int(145)
    link.slow(ms)
    moment.release()
    await after(1_000)
    link.mend()
    return `between ${link.name}, ${ms} ms`
  },
}

export const late: FaultKind = {
  name: "late",
  what: "a whole batch is on its way while the relay loses its lease and the other publishes; then it arrives",
  at: (step) => step.name === "sent",
  weight: 2,
  recovers: 45_000,
  strike: async (world, moment) => {
    const { relay } = moment
    const other = world.other(relay)
    await other.start()
    relay.links.postgres.cut()
    await until(async () => (await other.state()).active, { what: "the other relay takes over", deadline: 20_000 })
    const from = await world.published()
    await until(async () => (await world.published()) > from, { what: "the other relay publishes", deadline: 20_000 })
    moment.release()
    relay.links.postgres.mend()
    return `relay ${relay.name}'s`
  },
}
