/**
 * A cluster of nats-servers on loopback, for what replicas and a lost majority do.
 *
 *     const cluster = await startNatsCluster(3)
 *     cluster.url("relay")                     // all of them, with commas
 *     await cluster.servers[1].kill()
 */
import { Effect } from "effect"
import type { NatsUser } from "#dev/nats.ts"
import { freePort } from "#dev/ports.ts"
import type { TestNats } from "./servers.ts"
import { startNats } from "./servers.ts"

export interface TestCluster {
  readonly servers: ReadonlyArray<TestNats>
  /** The addresses of all of them for a user of nats.conf; the operator's unless told. */
  readonly url: (user?: NatsUser) => string
  readonly stop: () => Promise<void>
}

/** Each takes clients when this resolves; a leader may take a moment longer. */
export const startNatsCluster = async (size: number): Promise<TestCluster> => {
  const ports = await Promise.all(Array.from({ length: size }, () => Effect.runPromise(freePort())))
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`)
  const servers = await Promise.all(
    routes.map((route, i) => startNats({ args: ["--name", `server-${i + 1}`, "--cluster_name", "tideline-test", "--cluster", route, "--routes", routes.join(",")] })),
  )
  return {
    servers,
    url: (user) => servers.map((server) => server.url(user)).join(","),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}
