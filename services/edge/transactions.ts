/**
 * Messages become whole transactions again, by their `Tide-Tx` place. One that is too large to be held until its end goes on in pieces.
 * Pure; tail.ts feeds it.
 */
import type { LogMessage } from "#nats/log.ts"

export interface Piece {
  readonly messages: ReadonlyArray<LogMessage>
  /** The position after it. */
  readonly end: number
  /** The transaction goes on in the next piece. */
  readonly more: boolean
}

export interface PieceBounds {
  readonly messages: number
  readonly bytes: number
}

export class Transactions {
  readonly #bounds: PieceBounds
  readonly #emit: (piece: Piece) => void
  #held: Array<LogMessage> = []
  #bytes = 0

  constructor(bounds: PieceBounds, emit: (piece: Piece) => void) {
    this.#bounds = bounds
    this.#emit = emit
  }

  /** The next message of the log. */
  message(message: LogMessage): void {
    const { xid, position, count } = message.transaction
    // Another transaction begins: what was held has no end to wait for.
    if (this.#held.length > 0 && this.#held[0]!.transaction.xid !== xid) this.#release(false)
    this.#held.push(message)
    this.#bytes += message.body.length
    if (position >= count) this.#release(false)
    else if (this.#held.length >= this.#bounds.messages || this.#bytes >= this.#bounds.bytes) this.#release(true)
  }

  /** A position that passed without a readable message. */
  passed(seq: number): void {
    if (this.#held.length === 0) this.#emit({ messages: [], end: seq, more: false })
  }

  #release(more: boolean): void {
    const messages = this.#held
    this.#held = []
    this.#bytes = 0
    this.#emit({ messages, end: messages.at(-1)!.seq, more })
  }
}
