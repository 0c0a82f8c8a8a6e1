/** What an edge's connections share, with the bounds that an edge runs with: the same for `main.ts` and for tests of a whole edge. */
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { REPLAYS, RING_BYTES, RING_EVENTS, RING_TURN_MS, RING_WARM_EVENTS } from "#protocol/limits.ts"
import { Replays } from "./replay.ts"
import { natsRequests } from "./requests.ts"
import { Turns } from "./turns.ts"
import type { Services } from "./world.ts"

/** `defect` is told of every mistake of ours that ended a connection. */
export const edgeServices = (nats: Nats, defect: (cause: unknown) => void): Services => {
  const log = jetStreamLog(nats)
  const turns = new Turns(RING_TURN_MS)
  return {
    log,
    requests: natsRequests(nats),
    replays: new Replays(log, REPLAYS, turns),
    turns,
    now: Date.now,
    random: Math.random,
    ring: { events: RING_EVENTS, bytes: RING_BYTES },
    warmEvents: RING_WARM_EVENTS,
    defect,
  }
}
