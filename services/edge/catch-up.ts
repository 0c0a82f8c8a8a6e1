/**
 * Brings one connection to where the edge is: gives what it gained as of its position (`give`), then tells it what came after the
 * position (`catchUp`), from the ring where that reaches back far enough, else from STATE. Called off by a signal at any page or slice; the
 * session knows how far it came.
 */
import { viewToken } from "#protocol/cursor.ts"
import { FRAME_DOWN_BYTES, FRAME_DOWN_CHANGES, REPLAY_PATIENCE_MS, RING_TURN_MS, STATE_BEHIND_MS } from "#protocol/limits.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import type { Mode } from "#protocol/up.ts"
import type { LogMessage } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import { changeJson, invalidationJson } from "./event.ts"
import { metrics } from "./metrics.ts"
import { PatternSet } from "./pattern-set.ts"
import { calledOff } from "./replay.ts"
import type { Progress } from "./send.ts"
import type { World } from "./world.ts"

/** The connection, as far as this concerns it. */
export interface Behind {
  readonly mode: Mode
  readonly allowed: PatternSet
  /** Up to here it was told everything. */
  readonly position: number
  /** A frame with these changes. `to` null: state as of the position, which does not move. */
  readonly tell: (to: number | null, body: string, progress: Progress | null) => void
  /** Nothing more is to be told up to here. */
  readonly pass: (to: number) => void
  readonly isFull: () => boolean
  /** Resolves when the socket has drained, with true, or after the time, with false. */
  readonly drained: (withinMs: number) => Promise<boolean>
  readonly gave: (after: number) => void
  readonly given: () => void
  readonly caughtUp: () => void
  readonly behind: () => void
  readonly full: () => void
  readonly unread: (message: string, hint: string) => void
}

/** State of what is gained, as of the position: every row that has not changed since. The rest comes after the position. */
export const give = (world: World, to: Behind, patterns: ReadonlyArray<ViewPattern>, after: number, upTo: number, signal: AbortSignal): void => {
  const progress = new Counting()
  world.replays.start(
    {
      patterns,
      after,
      atLeast: upTo,
      upTo,
      shared: viewToken(patterns),
      start: progress.start,
      page: async (messages) => {
        tellRows(to, messages, progress, { moves: false, tombstones: false })
        to.gave(messages.at(-1)!.seq)
        await patience(to, signal)
      },
      signal,
    },
    { reached: () => signal.aborted || to.given(), failed: unread(world, to, signal) },
  )
}

/** What came after the position and up to now, for the whole view. `upTo`: the sequence as of which the view was decided. */
export const catchUp = (world: World, to: Behind, view: ReadonlyArray<ViewPattern>, upTo: number, signal: AbortSignal): void => {
  if (view.length === 0) {
    to.pass(world.ring.head)
    return to.caughtUp()
  }
  // A first visit reads STATE all the same: that knows how much there is, and nothing of what is gone.
  if (to.position >= world.ring.floor && to.position > 0) {
    metrics.ringServed.add()
    return fromRing(world, to, view, signal)
  }
  const progress = new Counting()
  const began = to.position
  const reached = (position: number): void => {
    if (signal.aborted) return
    to.pass(position)
    if (to.position >= world.ring.floor) fromRing(world, to, view, signal)
    else if (position > began) to.behind()
    // STATE itself is behind.
    else setTimeout(() => signal.aborted || to.behind(), STATE_BEHIND_MS)
  }
  world.replays.start(
    {
      patterns: view,
      after: began,
      upTo,
      start: progress.start,
      page: async (messages) => {
        // Who holds nothing need not hear of what was gone before this reading began.
        tellRows(to, messages, progress, { moves: true, tombstones: began > 0 })
        await patience(to, signal)
      },
      signal,
    },
    { reached, failed: unread(world, to, signal) },
  )
}

const unread =
  (world: World, to: Behind, signal: AbortSignal) =>
  (cause: unknown): void => {
    if (signal.aborted) return
    if (cause instanceof LogError) return to.unread(cause.message, cause.hint)
    world.defect(cause)
    to.unread("the state could not be read", "the edge's log says more")
  }

/** Waits for a full socket, but not for ever: it holds a place that others wait for. */
const patience = async (to: Behind, signal: AbortSignal): Promise<void> => {
  if (!to.isFull()) return
  if (await to.drained(REPLAY_PATIENCE_MS)) return
  if (!signal.aborted) to.full()
  throw calledOff()
}

class Counting {
  done = 0
  of = 0
  readonly start = (count: number): void => {
    this.of = count
  }
  take(messages: number): Progress {
    this.done += messages
    return { done: this.done, of: Math.max(this.of, this.done) }
  }
}

interface Telling {
  readonly moves: boolean
  readonly tombstones: boolean
}

const tellRows = (to: Behind, messages: ReadonlyArray<LogMessage>, progress: Counting, { moves, tombstones }: Telling): void => {
  const json = to.mode === "data" ? changeJson : invalidationJson
  const allowed = to.allowed
  let texts: Array<string> = []
  let bytes = 0
  let first = 0
  for (const [i, message] of messages.entries()) {
    if ((tombstones || message.operation !== "DELETE") && allowed.matches(message.address)) {
      const text = json(message)
      texts.push(text)
      bytes += text.length
    }
    const last = i === messages.length - 1
    if (!last && texts.length < FRAME_DOWN_CHANGES && bytes + messages[i + 1]!.body.length < FRAME_DOWN_BYTES) continue
    const told = progress.take(i + 1 - first)
    first = i + 1
    if (texts.length > 0) to.tell(moves ? message.seq : null, texts.join(","), told)
    else if (moves) to.pass(message.seq)
    texts = []
    bytes = 0
  }
}

/** Events scanned before the clock is looked at. */
const CLOCK_EVERY = 256

const fromRing = (world: World, to: Behind, view: ReadonlyArray<ViewPattern>, signal: AbortSignal): void => {
  const wanted = new PatternSet(view)
  const job = (): boolean => {
    if (signal.aborted) return false
    // The socket may have filled, or the ring gone on over the position, since the last turn.
    if (to.isFull()) {
      to.full()
      return false
    }
    if (to.position < world.ring.floor) {
      to.behind()
      return false
    }
    if (!slice(world, to, wanted)) return true
    to.caughtUp()
    return false
  }
  // Whoever asks is in a turn of its own already, and most often one slice is all.
  if (job()) world.turns.add(job)
}

/** Tells what the ring holds after the position until a frame is full or the turn is over. True when the ring's end is reached. */
const slice = ({ ring }: World, to: Behind, wanted: PatternSet): boolean => {
  const until = performance.now() + RING_TURN_MS
  const mode = to.mode
  const allowed = to.allowed
  const texts: Array<string> = []
  let bytes = 0
  let seq = to.position
  let done = true
  for (let place = ring.after(seq), scanned = 0; ; place++, scanned++) {
    const event = ring.at(place)
    if (event === undefined) break
    if (texts.length >= FRAME_DOWN_CHANGES || (bytes > 0 && bytes + event.bytes > FRAME_DOWN_BYTES) || (scanned % CLOCK_EVERY === CLOCK_EVERY - 1 && performance.now() >= until)) {
      done = false
      break
    }
    seq = event.seq
    const { address } = event.message
    if (event.superseded || !wanted.matches(address) || !allowed.matches(address)) continue
    const text = event.json(mode)
    texts.push(text)
    bytes += text.length
  }
  if (texts.length > 0) to.tell(seq, texts.join(","), null)
  to.pass(done ? ring.head : seq)
  return done
}
