/** A WebSocket client for tests of an edge: keeps every frame, and waits for those a test asks for. */
import { WebSocket } from "ws"
import type { ClientOptions } from "ws"
import { Schema } from "effect"
import type { DownType } from "#protocol/down.ts"
import { Down } from "#protocol/down.ts"
import { SUBPROTOCOL } from "#protocol/version.ts"

type Frame<T extends DownType> = Extract<Down, { readonly type: T }>

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Down))

export interface Dial extends ClientOptions {
  readonly protocols?: ReadonlyArray<string>
  readonly query?: string
}

export class SocketClient {
  readonly socket: WebSocket
  readonly frames: Array<Down> = []
  /** The newest cursor, and where it stands. */
  cursor: string | null = null
  position = 0
  closed: { readonly code: number; readonly reason: string } | null = null
  #read = 0
  #wake: Array<() => void> = []

  constructor(port: number, { protocols = [SUBPROTOCOL], query = "", ...options }: Dial = {}) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, [...protocols], options)
    this.socket.on("message", (data: Buffer) => {
      const frame = decode(data.toString())
      this.frames.push(frame)
      if ("cursor" in frame.payload) {
        this.cursor = frame.payload.cursor
        this.position = frame.payload.to
      }
      this.#woken()
    })
    this.socket.on("error", () => {})
    this.socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#woken()
    })
  }

  #woken(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  /** Waits for the next frame of the type; those before it are passed over. Rejects when the socket closes first. */
  async next<T extends DownType>(type: T, deadline = 10_000): Promise<Frame<T>> {
    const until = Date.now() + deadline
    for (;;) {
      while (this.#read < this.frames.length) {
        const frame = this.frames[this.#read++]!
        if (frame.type === type) return frame as Frame<T>
      }
      if (this.closed !== null) throw new Error(`closed with ${this.closed.code} before ${type}`)
      await this.#change(until, type)
    }
  }

  /** Waits until it is closed; answers the code. */
  async closing(deadline = 10_000): Promise<number> {
    const until = Date.now() + deadline
    while (this.closed === null) await this.#change(until, "the end")
    return this.closed.code
  }

  async #change(until: number, what: string): Promise<void> {
    const left = until - Date.now()
    if (left <= 0) throw new Error(`no ${what}; the last frames: ${JSON.stringify(this.frames.slice(-5)).slice(0, 2_000)}`)
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left)
      this.#wake.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  async opened(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) {
      await new Promise<void>((resolve, reject) => this.socket.once("open", () => resolve()).once("error", reject))
    }
    return this
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame))
  }

  async signIn(token: string): Promise<Frame<"AUTH_SUCCESS">> {
    await this.opened()
    this.send({ type: "AUTH", payload: { token } })
    return this.next("AUTH_SUCCESS")
  }

  /** Subscribes and waits until it is live. */
  async subscribe(payload: Record<string, unknown>): Promise<Frame<"LIVE">> {
    this.send({ type: "SUBSCRIBE", payload })
    await this.next("SUBSCRIBED")
    return this.next("LIVE")
  }

  /** Every change told so far, in order, as `entity/id@version`. */
  changes(): ReadonlyArray<string> {
    return this.frames.flatMap((frame) =>
      frame.type === "CHANGES" ? frame.payload.changes.map((change) => `${change.entityCode}/${change.entityId}@${change.version}`) : [],
    )
  }

  end(): void {
    this.socket.terminate()
  }
}
