/**
 * The edge's sessions against a simple client, through a pipe in memory, over a log in memory: whatever is written, granted, revoked,
 * subscribed, cut off, resumed and slow, in whatever order, the client ends with the rows that its user may see, and no frame ever told of
 * what was not allowed to be told. Fails with a seed.
 */
import { Effect, Exit, Logger, Scope } from "effect"
import { expect, vi } from "vitest"
import type { ViewPattern } from "#protocol/grant.ts"
import { RequestError } from "#protocol/request.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import { until } from "#test/support/until.ts"
import type { Connection } from "../../services/edge/connection.ts"
import type { Edge } from "../../services/edge/edge.ts"
import { runEdge } from "../../services/edge/edge.ts"
import { Replays } from "../../services/edge/replay.ts"
import type { Requests } from "../../services/edge/requests.ts"
import { Turns } from "../../services/edge/turns.ts"
import type { Services } from "../../services/edge/world.ts"
import { Client } from "./client.ts"
import { ACCESS_ENTITIES, ENTITIES, IDS, SCOPES, Truth } from "./truth.ts"

const USERS = ["ada", "grace", "linus"] as const
const ROLES = ["editors", "all"] as const
const FUTURE = Date.now() / 1_000 + 3_600

const away = new RequestError({ code: "unavailable", message: "away", hint: "" })
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A browser with a connection, or without. */
class Browser {
  readonly user: string
  readonly client = new Client()
  readonly #truth: Truth
  #asked: ReadonlyArray<{ entityCode: string; scopes?: ReadonlyArray<string>; entityIds?: ReadonlyArray<string> }> = []
  #connection: Connection | null = null
  #line: Array<string> = []
  #stalled = false
  #epoch = 0

  constructor(user: string, truth: Truth) {
    this.user = user
    this.#truth = truth
  }

  get connected(): boolean {
    return this.#connection !== null
  }

  get asked(): ReadonlyArray<ViewPattern> {
    return this.#asked.flatMap(({ entityCode, scopes = [null], entityIds = [null] }) =>
      scopes.flatMap((scope) => entityIds.map((id) => ({ entity: entityCode, scope, id }))),
    )
  }

  connect(edge: Edge, random: Random): void {
    if (edge.world === null) return
    this.#line = []
    this.#epoch = this.#truth.epoch
    this.client.connecting()
    const line = this.#line
    this.#connection = edge.accept(
      edge.world,
      {
        send: (text) => void line.push(text),
        sendShared: (head, body, tail) => void line.push(head + body.toString() + tail),
        // A frame weighs a lot here: four that wait are a full socket.
        cork: () => {},
        uncork: () => {},
        buffered: () => line.length * 300_000,
        close: () => this.disconnect(random),
        terminate: () => this.disconnect(random),
        ping: () => {},
        pause: () => {},
        resume: () => {},
      },
      { userAgent: null, ip: null },
    )
    this.#send({ type: "AUTH", payload: { token: this.user } })
    if (this.#asked.length > 0) this.#subscribe(this.#asked, true)
  }

  #send(frame: unknown): void {
    this.#connection?.text(JSON.stringify(frame))
  }

  #subscribe(subscriptions: Browser["asked"] | ReadonlyArray<unknown>, first: boolean): void {
    this.client.wished()
    const { cursor } = this.client.stored
    this.#send({ type: "SUBSCRIBE", payload: { subscriptions, ...(first && cursor !== null ? { cursor } : {}) } })
  }

  ask(random: Random): void {
    const first = this.#asked.length === 0
    const one = {
      entityCode: random.pick(random.chance(0.75) ? ENTITIES : ACCESS_ENTITIES),
      ...(random.chance(0.4) ? { scopes: random.shuffle(["a", "b", "c"]).slice(0, 1 + random.int(2)) } : {}),
      ...(random.chance(0.3) ? { entityIds: random.shuffle(IDS).slice(0, 1 + random.int(3)) } : {}),
    }
    if (this.#asked.some((known) => JSON.stringify(known) === JSON.stringify(one))) return
    this.#asked = [...this.#asked, one]
    if (this.connected) this.#subscribe([one], first)
  }

  unask(random: Random): void {
    if (this.#asked.length === 0) return
    const { entityCode } = random.pick(this.#asked)
    this.#asked = this.#asked.filter((one) => one.entityCode !== entityCode)
    if (!this.connected) return
    this.client.wished()
    this.#send({ type: "UNSUBSCRIBE", payload: { entityCode } })
  }

  disconnect(random: Random): void {
    const connection = this.#connection
    if (connection === null) return
    this.#connection = null
    // What was on its way arrives in part.
    this.deliver(random.int(this.#line.length + 1))
    this.#line = []
    this.#stalled = false
    connection.socketClosed()
    this.client.disconnected(random.chance(0.3))
  }

  stall(): void {
    this.#stalled = true
  }

  /** Lets frames through. */
  deliver(frames = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < frames && this.#line.length > 0; i++) {
      const frame = this.client.receive(this.#line.shift()!)
      // What was lost meanwhile was told while it was true.
      if (frame.type !== "CHANGES" || this.#epoch !== this.#truth.epoch) continue
      for (const { entityCode, entityId, scope, version } of frame.payload.changes) {
        if (!this.#truth.mayHear(this.user, { entity: entityCode, id: entityId, scope }, version))
          this.client.complaints.push(`told of ${scope}/${entityCode}/${entityId} at ${version}, which ${this.user} lost before`)
      }
    }
  }

  flow(random: Random): void {
    if (this.#stalled && random.chance(0.8)) return
    this.#stalled = false
    this.deliver()
    this.#connection?.socketDrained()
  }
}

const write = (truth: Truth, random: Random): void => {
  const principal = () => (random.chance(0.5) ? `user:${random.pick(USERS)}` : random.chance(0.8) ? `role:${random.pick(ROLES)}` : "everyone")
  const change = () => {
    const dice = random.next()
    if (dice < 0.7) return truth.row(random.pick(ENTITIES), random.pick(IDS), random.chance(0.2) ? undefined : random.pick(SCOPES))
    if (dice < 0.73) return truth.grant(principal(), { scope: null, entity: random.pick(ACCESS_ENTITIES), id: null })
    if (dice < 0.82)
      return truth.grant(principal(), {
        scope: random.chance(0.8) ? random.pick(SCOPES) : null,
        entity: random.chance(0.5) ? random.pick(ENTITIES) : null,
        id: random.chance(0.2) ? random.pick(IDS) : null,
      })
    if (dice < 0.94) return truth.grants.length === 0 ? [] : truth.revoke(random.pick(truth.grants))
    return truth.toggleMember(random.pick(ROLES), random.chance(0.7) ? `user:${random.pick(USERS)}` : `role:${random.pick(ROLES)}`)
  }
  const changes = Array.from({ length: 1 + random.int(4) }, change).flat()
  if (changes.length > 0) truth.write(changes)
}

const simulate = async (random: Random, steps: number, losses: boolean): Promise<void> => {
  const truth = new Truth()
  const requests: Requests = {
    token: async (token) => ({ userId: token, expiresAt: FUTURE, lasts: 1e9, issuedAt: null, sessionId: null }),
    // Gathered questions: answers come out of order, of some users alone, of none, or say of one that it is not known.
    views: async (asks) => {
      for (let i = random.int(4); i > 0; i--) await turn()
      if (random.chance(0.01)) throw away
      const most = random.chance(0.2) ? 1 + random.int(asks.length) : asks.length
      return asks.slice(0, most).map((ask) => {
        if (random.chance(0.01)) return away
        const view = truth.view(ask)
        return random.chance(0.02) ? { ...view, allowedBefore: null } : view
      })
    },
    explain: () => Promise.reject(new Error("no explanations")),
    demo: () => Promise.reject(new Error("no demo")),
    command: () => Promise.reject(new Error("no commands")),
    changeAccess: () => Promise.reject(new Error("no commands")),
  }
  const turns = new Turns(5)
  const services: Services = {
    log: truth.log,
    requests,
    replays: new Replays(truth.log, 2, turns),
    turns,
    now: Date.now,
    random: random.next,
    ring: { events: 6 + random.int(30), bytes: 1_000_000 },
    warmEvents: random.int(20),
    defect: (cause) => {
      throw cause
    },
  }
  const scope = Effect.runSync(Scope.make())
  const start = () => Effect.runPromise(runEdge(services).pipe(Effect.provide(Logger.layer([])), Scope.provide(scope)))
  const edges = [await start(), await start()]
  try {
    await until(() => edges.every((edge) => edge.world !== null), { what: "the edges are ready" })
    const browsers = Array.from({ length: 4 }, () => new Browser(random.pick(USERS), truth))
    for (let i = 0; i < steps; i++) {
      const browser = random.pick(browsers)
      const dice = random.next()
      if (dice < 0.5) write(truth, random)
      else if (dice < 0.6) browser.ask(random)
      else if (dice < 0.63) browser.unask(random)
      else if (dice < 0.72) browser.disconnect(random)
      else if (dice < 0.76) browser.stall()
      else if (dice < 0.77 && losses) truth.lose(1 + random.int(Math.min(8, truth.head - 4)))
      else if (!browser.connected) browser.connect(random.pick(edges), random)
      for (let t = random.int(4); t > 0; t--) await turn()
      for (const one of browsers) if (random.chance(0.7)) one.flow(random)
    }
    for (const browser of browsers) if (browser.asked.length === 0) browser.ask(random)
    await until(
      () => {
        // A heartbeat for everybody: it moves those who are live to the edge's position.
        for (const edge of edges) for (let i = 0; i < 15; i++) edge.beat()
        for (const browser of browsers) {
          if (!browser.connected) browser.connect(random.pick(edges), random)
          browser.flow(random)
        }
        return browsers.every(({ client }) => client.live && client.position === truth.head)
      },
      { what: "everybody has everything", every: 1 },
    )
    for (const [i, browser] of browsers.entries()) {
      expect(browser.client.complaints).toEqual([])
      expect(sorted(browser.client.rows()), `browser ${i} of ${browser.user}`).toEqual(sorted(truth.rows(browser.user, browser.asked)))
    }
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const sorted = (rows: ReadonlyMap<string, string>) => [...rows].sort(([a], [b]) => (a < b ? -1 : 1))

vi.setConfig({ testTimeout: 60_000 })

property("whatever happens, a client ends with the rows that its user may see", 60, (random) => simulate(random, 150, false))

property("the same where the stream loses its newest changes and numbers begin anew", 25, (random) => simulate(random, 150, true))
