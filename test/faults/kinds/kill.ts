/** SIGKILL: of the relay at the step, of both, of a server. */
import type { FaultKind } from "./kind.ts"
import { anyStep } from "./kind.ts"

/** What was on its way when its sender died arrives, or does not. */
const settle = (arrives: boolean, moment: { readonly release: () => void; readonly drop: () => void }): string => {
  if (arrives) moment.release()
  else moment.drop()
  return arrives ? "what was under way arrives" : "what was under way is lost"
}

export const killRelay: FaultKind = {
  name: "kill-relay",
  what: "SIGKILL of the relay that works; the other takes over",
  at: anyStep,
  weight: 4,
  strike: async (_world, moment, random) => {
    await moment.relay.kill()
    const detail = settle(random.chance(0.5), moment)
    await moment.relay.start()
    return `relay ${moment.relay.name}, ${detail}`
  },
}

export const killRelays: FaultKind = {
  name: "kill-relays",
  what: "SIGKILL of both relays; both are started again",
  at: anyStep,
  strike: async (world, moment, random) => {
    await Promise.all(world.relays.map((relay) => relay.kill()))
    const detail = settle(random.chance(0.5), moment)
    await Promise.all(world.relays.map((relay) => relay.start()))
    return detail
  },
}

export const killNats: FaultKind = {
  name: "kill-nats",
  what: "SIGKILL of nats-server; it is started again",
  at: anyStep,
  weight: 2,
  strike: async (world, moment) => {
    await world.server.kill()
    moment.release()
    await world.server.restart()
    return "at once"
  },
}

export const killPostgres: FaultKind = {
  name: "kill-postgres",
  what: "SIGKILL of Postgres; it is started again",
  at: anyStep,
  weight: 2,
  strike: async (world, moment) => {
    await world.postgres.kill()
    moment.release()
    await world.postgres.restart()
    return "at once"
  },
}
