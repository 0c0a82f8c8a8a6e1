/** Many connections brought to life at an edge, all of one user with one view. */
import { Effect } from "effect"
import { SUBPROTOCOL } from "#protocol/version.ts"
import type { BenchFailed } from "./benchmark.ts"
import { ENTITY } from "./place.ts"
import type { SocketsJobs } from "./sockets-worker.ts"
import type { Worker } from "./worker.ts"

/** Opens, signs in and subscribes, with the cursor where there is one; done when all are live. Gives the cursor they stand at. */
export const openLive = (
  clients: Worker<SocketsJobs>,
  edgeUrl: string,
  token: string,
  count: number,
  cursor: string | null,
): Effect.Effect<string, BenchFailed> =>
  Effect.gen(function* () {
    yield* clients.ask("open", { port: Number(new URL(edgeUrl).port), path: "/ws", protocol: SUBPROTOCOL, count })
    yield* clients.ask("say", { text: JSON.stringify({ type: "AUTH", payload: { token } }), until: "AUTH_SUCCESS" })
    const subscribe = { type: "SUBSCRIBE", payload: { entityCode: ENTITY, ...(cursor === null ? {} : { cursor }) } }
    const frames = yield* clients.ask("say", { text: JSON.stringify(subscribe), until: '"LIVE"' })
    const live = frames.map((text) => JSON.parse(text) as { type: string; payload: { cursor: string } }).find(({ type }) => type === "LIVE")
    return live!.payload.cursor
  })
