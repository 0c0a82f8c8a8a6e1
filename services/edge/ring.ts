/**
 * The recent changes, in order: a connection whose position the ring covers catches up without asking NATS for anything.
 *
 * It holds every client's event after `floor` up to `head`; the log's own events are not kept, but count as told. An event that a newer one
 * of the same entity follows is marked, so that catching up costs what changed.
 */
import type { Event } from "./event.ts"

export interface RingBounds {
  readonly events: number
  readonly bytes: number
}

export class Ring {
  readonly #bounds: RingBounds
  /** In sequence order; those before `#start` are gone. */
  #events: Array<Event | undefined> = []
  #start = 0
  #bytes = 0
  readonly #newest = new Map<string, Event>()
  #floor: number
  #head: number

  /** Begins empty: everything up to `position` lies before it. */
  constructor(position: number, bounds: RingBounds) {
    this.#floor = position
    this.#head = position
    this.#bounds = bounds
  }

  /** A position from here on can be continued from the ring. */
  get floor(): number {
    return this.#floor
  }

  /** The position that the edge has reached. */
  get head(): number {
    return this.#head
  }

  get size(): number {
    return this.#events.length - this.#start
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Takes the next events, all after `head`, and moves it to `head`. */
  push(events: ReadonlyArray<Event>, head: number): void {
    for (const event of events) {
      this.#events.push(event)
      this.#bytes += event.bytes
      const { subject } = event.message
      const older = this.#newest.get(subject)
      if (older !== undefined) older.superseded = true
      this.#newest.set(subject, event)
    }
    this.#head = head
    while (this.size > this.#bounds.events || (this.#bytes > this.#bounds.bytes && this.size > 0)) this.#drop()
    if (this.#start > 1_024 && this.#start * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#start)
      this.#start = 0
    }
  }

  #drop(): void {
    const event = this.#events[this.#start]!
    this.#events[this.#start] = undefined
    this.#start += 1
    this.#bytes -= event.bytes
    this.#floor = event.seq
    if (this.#newest.get(event.message.subject) === event) this.#newest.delete(event.message.subject)
  }

  /** Where the events after `position` begin, for `at`. `position` must not be below `floor`. */
  after(position: number): number {
    let low = this.#start
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#events[middle]!.seq <= position) low = middle + 1
      else high = middle
    }
    return low - this.#start
  }

  /** The event at a place counted from the oldest, or undefined behind the newest. Places shift when events are pushed. */
  at(place: number): Event | undefined {
    return this.#events[this.#start + place]
  }
}
