/** In good order: a relay is asked to end, a server is started anew. */
import type { FaultKind } from "./kind.ts"
import { anyStep } from "./kind.ts"

export const stopRelay: FaultKind = {
  name: "stop-relay",
  what: "SIGTERM to the relay that works: it must end with code 0, and the other take over",
  at: anyStep,
  strike: async (_world, moment) => {
    const ending = moment.relay.stop()
    moment.release()
    const code = await ending
    if (code !== 0) throw new Error(`relay ${moment.relay.name}, asked to end, ended with ${code ?? "a signal"}`)
    await moment.relay.start()
    return `relay ${moment.relay.name}`
  },
}

export const restartServers: FaultKind = {
  name: "restart-server",
  what: "nats-server or Postgres is ended in good order and started again",
  at: anyStep,
  strike: async (world, moment, random) => {
    const nats = random.chance(0.5)
    moment.release()
    await (nats ? world.server : world.postgres).restart()
    return nats ? "nats-server" : "Postgres"
  },
}
