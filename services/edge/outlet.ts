/**
 * What goes to one client, and where that leaves it: the client stands at the last `to` it was told, and every frame that moves begins there.
 * From connection.ts to the socket.
 */
import { formatCursor } from "#protocol/cursor.ts"
import type { Down } from "#protocol/down.ts"
import type { Mode } from "#protocol/up.ts"
import { encodeDown } from "./frame.ts"
import { metrics } from "./metrics.ts"
import { Pressure } from "./pressure.ts"
import type { Part, Progress } from "./send.ts"
import { changesHead, changesTail } from "./send.ts"
import type { Claim } from "./session-state.ts"
import type { Socket, World } from "./world.ts"

export class Outlet {
  readonly pressure: Pressure
  readonly #world: World
  readonly #socket: Socket
  /** Where the client stands. */
  #stands = 0
  /** Up to here it was told everything, or there was nothing to tell: at least where it stands. */
  position = 0

  constructor(world: World, socket: Socket) {
    this.#world = world
    this.#socket = socket
    this.pressure = new Pressure(socket)
  }

  /** The client stands here by its own account, or holds nothing (0). */
  place(position: number): void {
    this.#stands = position
    this.position = position
  }

  send(frame: Down): void {
    this.#write(encodeDown(frame))
  }

  #write(text: string): void {
    metrics.frames.add()
    metrics.bytes.add(text.length)
    this.#socket.send(text)
    this.pressure.wrote()
  }

  #cursor(seq: number, { view, access, partial }: Claim): string {
    const epoch = this.#world.epochs.current ?? ""
    return formatCursor({ epoch, seq, view, ...(access > seq ? { access } : {}), ...(partial === null ? {} : { partial }) })
  }

  /** The client moves to the position. */
  #move(claim: Claim): { readonly from: number; readonly to: number; readonly cursor: string } {
    const from = this.#stands
    this.#stands = this.position
    return { from, to: this.position, cursor: this.#cursor(this.position, claim) }
  }

  heartbeat(claim: Claim): void {
    this.send({ type: "HEARTBEAT", payload: { ...this.#move(claim), lagMs: this.#world.lagMs() } })
  }

  live(claim: Claim): void {
    this.send({ type: "LIVE", payload: this.#move(claim) })
  }

  /** Changes of a catch-up. `to` null: state as of the position, which does not move. */
  tell(mode: Mode, claim: Claim, to: number | null, body: string, progress: Progress | null): void {
    const at = to ?? this.position
    const from = to === null ? at : this.#stands
    this.place(at)
    this.#write(changesHead(mode, from, at, this.#cursor(at, claim)) + body + changesTail(true, progress))
  }

  /** Changes of the live flow, which others get as well. */
  share(mode: Mode, claim: Claim, { to, body, more }: Part): void {
    const from = this.#stands
    this.place(to)
    metrics.frames.add()
    metrics.bytes.add(body.length)
    this.#socket.sendShared(changesHead(mode, from, to, this.#cursor(to, claim)), body, changesTail(more))
    this.pressure.wrote()
  }
}
