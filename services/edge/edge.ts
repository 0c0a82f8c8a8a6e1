/**
 * The edge without its servers: keeps a tail, takes connections while it has one, sends heartbeats, and sends everybody away when it ends
 * or when the log is no longer the one it followed. It keeps nothing that a reconnect could need.
 */
import { Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { gaugeOf } from "#observe/metrics.ts"
import type { LogError } from "#nats/log.ts"
import { EDGE_CONNECTIONS, HEARTBEAT_MS, RETRY_FIRST_MS } from "#protocol/limits.ts"
import { Connection } from "./connection.ts"
import type { Tail } from "./tail.ts"
import { openTail } from "./tail.ts"
import type { Peer, Services, Socket, World } from "./world.ts"

/** Heartbeats go out in as many groups as there are seconds between two of them. */
const BEAT_MS = 1_000
const GROUPS = HEARTBEAT_MS / BEAT_MS

export class Edge {
  readonly #groups: ReadonlyArray<Set<Connection>> = Array.from({ length: GROUPS }, () => new Set())
  #accepted = 0
  #beats = 0
  #tail: Tail | null = null
  #problem: string | null = "the log has not been read yet"
  #draining = false

  /** What connections share, or null while the edge cannot serve. */
  get world(): World | null {
    return this.#tail !== null && this.#tail.current() && this.#tail.world.epochs.current !== null && !this.#draining ? this.#tail.world : null
  }

  get connections(): number {
    return this.#groups.reduce((sum, group) => sum + group.size, 0)
  }

  /** Whether there is room for one more. */
  get hasRoom(): boolean {
    return this.connections < EDGE_CONNECTIONS
  }

  /** Why it cannot serve now, in plain sentences; empty where it can. */
  reasons(): ReadonlyArray<string> {
    if (this.#draining) return ["the edge is draining"]
    if (this.#tail === null) return [this.#problem ?? "the log is not followed"]
    if (!this.#tail.current()) return ["the log is being read"]
    return this.#tail.world.epochs.current === null ? ["the relay has not begun the log's first epoch"] : []
  }

  /** A new connection. The edge must be able to serve. */
  accept(world: World, socket: Socket, peer: Peer): Connection {
    const group = this.#groups[this.#accepted++ % GROUPS]!
    const connection = new Connection(world, socket, peer, (ended) => group.delete(ended))
    group.add(connection)
    return connection
  }

  /** Once every BEAT_MS. */
  beat(): void {
    for (const connection of this.#groups[this.#beats++ % GROUPS]!) connection.heartbeat()
  }

  /** Follows the log until it is lost, tells everybody to reconnect, and fails with why. */
  follow(services: Services): Effect.Effect<never, LogError | TailLost> {
    return Effect.gen({ self: this }, function* () {
      let lost: (why: string) => void = () => {}
      const loss = new Promise<string>((resolve) => (lost = resolve))
      const tail = yield* Effect.acquireRelease(
        Effect.tryPromise({ try: () => openTail(services, lost), catch: (cause) => cause as LogError }),
        (opened) =>
          Effect.promise(async () => {
            this.#tail = null
            this.#endAll()
            await opened.stop().catch(() => {})
          }),
      )
      this.#tail = tail
      this.#problem = null
      const why = yield* Effect.promise(() => loss)
      return yield* Effect.fail(new TailLost(why))
    }).pipe(
      Effect.scoped,
      Effect.tapError((error) => {
        const told = this.#problem === error.message
        this.#problem = error.message
        return told ? Effect.void : Effect.logWarning(`the log is not followed: ${error.message}`)
      }),
    )
  }

  #endAll(): void {
    for (const group of this.#groups) for (const connection of group) connection.end("draining")
  }

  /** Takes no more connections, and sends away those there are over `ms`. */
  async drain(ms: number): Promise<void> {
    this.#draining = true
    const all = this.#groups.flatMap((group) => [...group])
    const began = performance.now()
    for (const [i, connection] of all.entries()) {
      const due = began + (ms * i) / all.length - performance.now()
      if (due > 1) await new Promise((resolve) => setTimeout(resolve, due))
      connection.end("draining")
    }
  }
}

export class TailLost extends Error {}

/** An edge that follows the log for as long as the scope lives. */
export const runEdge = (services: Services): Effect.Effect<Edge, never, Scope.Scope> =>
  Effect.gen(function* () {
    const edge = new Edge()
    gaugeOf("tideline_edge_connections", "Open connections", () => edge.connections)
    gaugeOf("tideline_edge_ring_events", "Changes in the ring", () => edge.world?.ring.size ?? 0)
    gaugeOf("tideline_edge_ring_bytes", "Bytes of the changes in the ring, about", () => edge.world?.ring.bytes ?? 0)
    gaugeOf("tideline_edge_position", "The stream sequence that the edge has reached", () => edge.world?.ring.head ?? 0)
    gaugeOf("tideline_edge_lag_milliseconds", "How old the edge's view of the stream may be", () => edge.world?.lagMs() ?? 0)
    gaugeOf("tideline_edge_replays_waiting", "Readings of STATE that wait for a place", () => services.replays.waiting)
    yield* edge.follow(services).pipe(
      Effect.retry(Schedule.spaced(RETRY_FIRST_MS)),
      Effect.forkScoped,
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => setInterval(() => edge.beat(), BEAT_MS)),
      (timer) => Effect.sync(() => clearInterval(timer)),
    )
    return edge
  })
