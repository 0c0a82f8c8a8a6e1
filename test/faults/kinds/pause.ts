/** SIGSTOP: a process that is there and does nothing. */
import { setTimeout as after } from "node:timers/promises"
import { until } from "#test/support/until.ts"
import { LEASE_SILENCE_MS, LEASE_TRY_MS } from "#protocol/limits.ts"
import type { FaultKind } from "./kind.ts"
import { anyStep } from "./kind.ts"

export const pauseRelay: FaultKind = {
  name: "pause-relay",
  what: "SIGSTOP of the relay that works until the other has taken over, then SIGCONT",
  at: anyStep,
  weight: 0.5,
  strike: async (world, moment, random) => {
    const { relay } = moment
    const other = world.other(relay)
    await other.start()
    relay.pause()
    // Held bytes of a paused relay arrive at once, or when another has written since.
    const late = random.chance(0.5)
    if (!late) moment.release()
    await until(async () => (await other.state()).active, { what: `relay ${other.name} takes over`, deadline: LEASE_SILENCE_MS + LEASE_TRY_MS + 15_000, every: 50 })
    const from = await world.published()
    await until(async () => (await world.published()) > from, { what: `relay ${other.name} publishes`, deadline: 20_000 })
    if (late) moment.release()
    relay.resume()
    return `relay ${relay.name}, ${late ? "what it had sent arrives late" : "what it had sent arrives"}`
  },
}

export const pauseNats: FaultKind = {
  name: "pause-nats",
  what: "SIGSTOP of nats-server for up to 3 seconds",
  at: anyStep,
  strike: async (world, moment, random) => {
    world.server.pause()
    moment.release()
    const ms = 200 + random.int(2_800)
    await after(ms)
    world.server.resume()
    return `${ms} ms`
  },
}
