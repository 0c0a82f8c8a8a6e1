/**
 * The live flow: an event is handed to each connection that sees it, and once a tick of the event loop each of them gets what has
 * gathered as one frame. The hot path of the edge: no promise, no copy, no look at a row.
 */
import { nowMs } from "#observe/metrics.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import type { Event } from "./event.ts"
import { LiveIndex } from "./live-index.ts"
import { metrics, observeLags } from "./metrics.ts"
import type { PatternSet } from "./pattern-set.ts"
import type { Piece } from "./transactions.ts"
import { Chain } from "./send.ts"

/** A connection, as far as the live flow knows it. */
export interface Member {
  /** What its user was granted: asked about every event again, whatever the index says. */
  allowed: PatternSet
  /** What it is about to receive, or null. */
  pending: Chain | null
  /** The event it was handed last: the index may name it twice. */
  last: Event | null
  /** A transaction has been told in part. */
  open: boolean
  /** Its access may have changed: it is told nothing more, wherever the index still has it. */
  halted: boolean
  /** Sends what is pending, up to the edge's position. */
  flush: () => void
}

export class Live {
  readonly #index = new LiveIndex<Member>()
  #root = Chain.empty()
  #due: Array<Member> = []
  #told: Array<Event> = []
  #open = new Set<Member>()
  #scheduled = false
  #event: Event | null = null
  /** Members that were handed `#event`. */
  #reached = 0
  /** The transaction that goes on in the next piece, if any. */
  openTransaction: string | null = null

  join(member: Member, view: ReadonlyArray<ViewPattern>): void {
    this.#index.join(member, view)
  }

  leave(member: Member, view: ReadonlyArray<ViewPattern>): void {
    this.#index.leave(member, view)
    this.#open.delete(member)
  }

  /** Hands the piece's events to all who see them. They are sent with the tick. */
  dispatch(piece: Piece, events: ReadonlyArray<Event>): void {
    this.openTransaction = piece.more ? piece.messages[0]!.transaction.xid : null
    if (!this.#index.empty) {
      for (const event of events) {
        this.#event = event
        this.#reached = 0
        this.#index.visit(event.message.address, this.#hand)
        if (this.#reached === 0) continue
        this.#told.push(event)
        metrics.deliveries.add(this.#reached)
      }
    }
    if (this.#due.length > 0 || this.#open.size > 0) this.#schedule()
  }

  readonly #hand = (member: Member): void => {
    const event = this.#event!
    if (member.last === event || member.halted) return
    member.last = event
    if (!member.allowed.matches(event.message.address)) {
      metrics.refused.add()
      return
    }
    if (member.pending === null) {
      member.pending = this.#root
      this.#due.push(member)
    }
    member.pending = member.pending.with(event)
    this.#reached += 1
  }

  /** The member was told of a transaction that goes on: it hears of its end even if it sees nothing more of it. */
  opened(member: Member): void {
    this.#open.add(member)
  }

  /** Sends what is pending to all of them now, up to the edge's position: what follows must not go with it. */
  settle(): void {
    if (this.#due.length > 0) this.#send()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#tick)
  }

  readonly #tick = (): void => {
    this.#scheduled = false
    this.#send()
  }

  #send(): void {
    const due = this.#due
    const told = this.#told
    this.#due = []
    this.#told = []
    for (const member of due) if (member.pending !== null) member.flush()
    if (this.#open.size > 0 && this.openTransaction === null) {
      const open = [...this.#open]
      this.#open.clear()
      for (const member of open) if (member.open && !member.halted) member.flush()
    }
    this.#root = Chain.empty()
    const now = nowMs()
    for (let i = 0; i < told.length; ) {
      const { at } = told[i]!.message
      const first = i
      while (i < told.length && told[i]!.message.at === at) i += 1
      observeLags(metrics.sentLag, at, now, i - first)
    }
  }
}
