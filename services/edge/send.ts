/**
 * From events to frames, for those who are live. Everything of one tick of the event loop goes to a connection as one frame (two
 * where it is too much for one), and what several connections receive alike is joined once.
 *
 * What a connection is about to receive is a chain: the same events in the same order are the same chain, whoever receives them. So
 * its text is made once a chain and not once a connection.
 */
import { FRAME_DOWN_BYTES, FRAME_DOWN_CHANGES } from "#protocol/limits.ts"
import type { Mode } from "#protocol/up.ts"
import type { Event } from "./event.ts"

/** How far a catch-up is: changes told of changes there are. */
export interface Progress {
  readonly done: number
  readonly of: number
}

/** A frame without what differs from one connection to the next. */
export interface Part {
  /** The position after it. */
  readonly to: number
  /** The changes' JSON, with commas, as UTF-8. */
  readonly body: Buffer
  readonly more: boolean
}

export class Chain {
  readonly #before: Chain | null
  readonly #event: Event | null
  /** The chain that goes on with `#nextEvent`: everybody is given an event before the next one comes, so one is enough to remember. */
  #nextEvent: Event | null = null
  #next: Chain | null = null
  #parts: { mode: Mode; parts: ReadonlyArray<Part> } | null = null

  private constructor(before: Chain | null, event: Event | null) {
    this.#before = before
    this.#event = event
  }

  static empty(): Chain {
    return new Chain(null, null)
  }

  static #events(last: Chain): ReadonlyArray<Event> {
    const events: Array<Event> = []
    for (let chain: Chain | null = last; chain !== null; chain = chain.#before) if (chain.#event !== null) events.push(chain.#event)
    return events.reverse()
  }

  with(event: Event): Chain {
    if (this.#nextEvent === event) return this.#next!
    this.#nextEvent = event
    return (this.#next = new Chain(this, event))
  }

  /** As frames. `head`: the position that has been told to everybody by now; `open`: the transaction that has not ended there, if any. */
  parts(mode: Mode, head: number, open: string | null): ReadonlyArray<Part> {
    if (this.#parts?.mode === mode) return this.#parts.parts
    const parts = split(Chain.#events(this), mode, head, open)
    this.#parts = { mode, parts }
    return parts
  }
}

const split = (events: ReadonlyArray<Event>, mode: Mode, head: number, open: string | null): ReadonlyArray<Part> => {
  const parts: Array<Part> = []
  let texts: Array<string> = []
  let bytes = 0
  for (const [i, event] of events.entries()) {
    const text = event.json(mode)
    const next = events[i + 1]
    texts.push(text)
    bytes += text.length
    if (next === undefined) {
      parts.push({ to: head, body: Buffer.from(texts.join(",")), more: event.message.transaction.xid === open })
    } else if (texts.length >= FRAME_DOWN_CHANGES || bytes + next.bytes > FRAME_DOWN_BYTES) {
      const whole = next.message.transaction.xid !== event.message.transaction.xid
      parts.push({ to: whole ? event.end : event.seq, body: Buffer.from(texts.join(",")), more: !whole })
      texts = []
      bytes = 0
    }
  }
  return parts
}

/** A CHANGES or INVALIDATE frame up to its changes. `cursor` is as formatCursor writes it: nothing in it needs escaping. */
export const changesHead = (mode: Mode, from: number, to: number, cursor: string): string =>
  `{"type":"${mode === "data" ? "CHANGES" : "INVALIDATE"}","payload":{"from":${from},"to":${to},"cursor":"${cursor}","changes":[`

/** The rest of it. */
export const changesTail = (more: boolean, progress: Progress | null = null): string =>
  `]${more ? ',"more":true' : ""}${progress === null ? "" : `,"progress":{"done":${progress.done},"of":${progress.of}}`}}}`
