/**
 * A client that goes over the wire: a socket to one of the edges, the simplest replica behind it, and a recording of everything that it
 * was told. It comes back by itself when an edge ends the connection, to any edge, with the cursor it has; signed out, with a new token, and
 * mostly with nothing.
 */
import { WebSocket } from "ws"
import { SUBPROTOCOL } from "#protocol/version.ts"
import { Client } from "#test/simulation/client.ts"
import type { Random } from "#test/support/random.ts"
import type { EdgeStation, Front } from "./front.ts"
import type { Asked, Entry, Recording, Sent, Token } from "./recording.ts"

/** Everybody asks for the tick: it moves each client's position when all is quiet. */
const TICK: Asked = { entity: "tick", scopes: null, ids: null }
/** Milliseconds before a connection that was ended is opened again, and the jitter on top. */
const BACK_MS = 50
/** How often, of 1, one who was signed out forgets what they hold, as they should. */
const FORGETS = 0.7

export class Watcher implements Recording {
  readonly client: string
  readonly user: string
  token: Token
  readonly #front: Front
  readonly #random: Random
  readonly #step: () => number
  readonly replica = new Client()
  /** What it asks for, the tick included. */
  asked: ReadonlyArray<Asked> = [TICK]
  /** Whether it means to be connected. */
  #wanted = false
  #socket: WebSocket | null = null
  #edge: EdgeStation | null = null
  #signedIn = false
  #signedOut = false
  #subscribed = false
  #back: NodeJS.Timeout | undefined
  #entries: Array<Entry> = []
  #sent = new Map<string, Sent>()
  readonly endings: Array<number> = []

  constructor(client: string, user: string, token: Token, front: Front, random: Random, step: () => number) {
    this.client = client
    this.user = user
    this.token = token
    this.#front = front
    this.#random = random
    this.#step = step
  }

  take(): ReadonlyArray<Entry> {
    const entries = this.#entries
    this.#entries = []
    return entries
  }

  get wanted(): boolean {
    return this.#wanted
  }

  /** Where it stands and on which edge, where it is live. */
  get standing(): { readonly edge: EdgeStation; readonly position: number } | null {
    return this.#edge !== null && this.replica.live ? { edge: this.#edge, position: this.replica.position } : null
  }

  connect(): void {
    this.#wanted = true
    clearTimeout(this.#back)
    if (this.#socket === null) this.#open()
  }

  /** `beforeStored`: the browser dies too, with the documents of the last frame stored and its cursor not. */
  disconnect(beforeStored: boolean): void {
    this.#wanted = false
    clearTimeout(this.#back)
    const socket = this.#socket
    if (socket === null) return
    this.#closed(socket, beforeStored)
    socket.terminate()
  }

  /** Reads nothing more for now; and goes on reading. */
  stall(): void {
    this.#socket?.pause()
  }
  resume(): void {
    if (this.#socket?.isPaused === true) this.#socket.resume()
  }

  /** Asks for more. */
  subscribe(more: Asked): void {
    if (this.asked.some((one) => JSON.stringify(one) === JSON.stringify(more))) return
    this.asked = [...this.asked, more]
    this.#ask({ type: "SUBSCRIBE", payload: { subscriptions: [spelled(more)] } })
  }

  /** Asks for the type no more, or for those ids of it. */
  unsubscribe(entity: string, ids: ReadonlyArray<string> | null): void {
    this.asked = this.asked.flatMap((one): ReadonlyArray<Asked> => {
      if (one.entity !== entity) return [one]
      if (ids === null) return []
      if (one.ids === null) return [one]
      const left = one.ids.filter((id) => !ids.includes(id))
      return left.length === 0 ? [] : [{ ...one, ids: left }]
    })
    this.#ask({ type: "UNSUBSCRIBE", payload: { entityCode: entity, ...(ids === null ? {} : { entityIds: ids }) } })
  }

  /** Sends the mutation if there is a connection; whether there was. */
  mutate(sent: Sent, mutation: unknown): boolean {
    if (!this.#signedIn || this.#socket === null) return false
    this.#sent.set(sent.id, sent)
    this.#send({ type: "MUTATE", payload: { mutations: [mutation] } })
    return true
  }

  #ask(frame: unknown): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    this.replica.wished()
    this.#note({ type: "asked", asked: this.asked })
    this.#send(frame)
  }

  #note(entry: Entry extends infer E ? (E extends Entry ? Omit<E, "step"> : never) : never): void {
    this.#entries.push({ ...entry, step: this.#step() } as Entry)
  }

  #send(frame: unknown): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  #open(): void {
    if (this.#socket !== null) return
    const edge = this.#random.pick(this.#front.edges)
    const socket = new WebSocket(`ws://127.0.0.1:${edge.port}/ws`, [SUBPROTOCOL], { perMessageDeflate: false })
    this.#socket = socket
    socket.on("error", () => undefined)
    socket.on("open", () => {
      if (socket !== this.#socket) return
      const { replica } = this
      replica.connecting()
      const { cursor, position } = replica.stored
      this.#edge = edge
      this.#note({ type: "opened", edge: edge.name, cursor, position, token: this.token })
      this.#send({ type: "AUTH", payload: { token: this.token.text } })
      replica.wished()
      this.#note({ type: "asked", asked: this.asked })
      this.#send({ type: "SUBSCRIBE", payload: { subscriptions: this.asked.map(spelled), ...(cursor === null ? {} : { cursor }) } })
    })
    socket.on("message", (data: Buffer) => {
      if (socket !== this.#socket) return
      const text = data.toString()
      this.#note({ type: "frame", text, at: Date.now() })
      const frame = this.replica.receive(text)
      if (frame.type === "AUTH_SUCCESS") this.#signedIn = true
      else if (frame.type === "ERROR" && frame.payload.code === "signed_out") this.#signedOut = true
      else if (frame.type === "SUBSCRIBED") this.#subscribed = true
      // What was asked for was not taken, and nobody but us will ask again: what is asked for is tracked, though a log that was made anew need not say so yet.
      else if (frame.type === "ERROR" && (frame.payload.retryAfter !== undefined || frame.payload.code === "not_found") && !this.#subscribed) socket.close()
      else if (frame.type === "MUTATED") for (const { id, status } of frame.payload.results) this.#sent.get(id)?.answers.push(status)
    })
    socket.on("close", (code) => {
      if (socket !== this.#socket) return
      this.endings.push(code)
      this.#closed(socket, false)
      if (!this.#signedOut) return this.#comeBack()
      this.#signedOut = false
      // Whoever keeps the cursor all the same is told no more than one who never had it.
      if (this.#random.chance(FORGETS)) this.replica.forget()
      void this.#front.signIn(this.user).then((token) => {
        this.token = token
        this.#comeBack()
      })
    })
  }

  #comeBack(): void {
    clearTimeout(this.#back)
    if (this.#wanted && this.#socket === null) this.#back = setTimeout(() => this.#open(), BACK_MS + this.#random.int(BACK_MS))
  }

  #closed(socket: WebSocket, beforeStored: boolean): void {
    const opened = this.#edge !== null
    this.#socket = null
    this.#edge = null
    this.#signedIn = false
    this.#subscribed = false
    socket.removeAllListeners("message")
    if (!opened) return
    this.#note({ type: "closed" })
    this.replica.disconnected(beforeStored)
  }
}

const spelled = ({ entity, scopes, ids }: Asked): unknown => ({
  entityCode: entity,
  ...(scopes === null ? {} : { scopes }),
  ...(ids === null ? {} : { entityIds: ids }),
})
