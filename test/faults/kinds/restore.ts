/** What was acknowledged is gone: an older copy of the streams, or none. */
import { CHANGES, STATE } from "#nats/streams.ts"
import { until } from "#test/support/until.ts"
import type { FaultKind } from "./kind.ts"
import { anywhere } from "./kind.ts"
import { loseTail } from "./loss.ts"

const RECOVERS_MS = 60_000

export const restoreStreams: FaultKind = {
  name: "restore-nats",
  what: "an older copy of nats-server's store takes the place of the present one",
  at: anywhere,
  weight: 0.5,
  recovers: RECOVERS_MS,
  strike: async (world) => {
    await loseTail(world, "everything")
    return "both streams"
  },
}

export const restoreChanges: FaultKind = {
  name: "restore-changes",
  what: "an older copy of CHANGES alone: its mirror lost nothing and is ahead of it",
  at: anywhere,
  weight: 0.3,
  recovers: RECOVERS_MS,
  strike: async (world) => {
    await loseTail(world, "CHANGES")
    return "CHANGES"
  },
}

export const deleteStreams: FaultKind = {
  name: "delete-streams",
  what: "both streams are deleted",
  at: anywhere,
  weight: 0.3,
  recovers: RECOVERS_MS,
  strike: async (world) => {
    const { streams } = world.nats.jetstream
    world.lost(1)
    await streams.delete(STATE)
    await streams.delete(CHANGES)
    await until(async () => (await world.published()) > 0, { what: "the streams are made anew", deadline: RECOVERS_MS })
    return "CHANGES and STATE"
  },
}

export const deleteChanges: FaultKind = {
  name: "delete-changes",
  what: "CHANGES is deleted, its mirror stays",
  at: anywhere,
  weight: 0.2,
  recovers: RECOVERS_MS,
  strike: async (world) => {
    world.lost(1)
    await world.nats.jetstream.streams.delete(CHANGES)
    await until(async () => (await world.published()) > 0, { what: "CHANGES is made anew", deadline: RECOVERS_MS })
    return "CHANGES"
  },
}
