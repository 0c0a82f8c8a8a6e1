/** A step of the relay's loop: the moment at which a fault strikes, found by watching what goes over the relay's links. */
import type { Direction, Frame } from "../world/frames.ts"
import type { Verdict } from "../world/link.ts"
import type { Random } from "#test/support/random.ts"

/** What is done so that the step comes soon. rouse: nobody writes for a moment, then a flurry. calm: a flurry, then nobody writes. takeover: the relay that works is killed. loss: an older copy of the streams. */
export type Provocation = "rouse" | "bulk" | "calm" | "takeover" | "loss"

/** Sees the messages of one relay until it says where to hold. */
export interface Trap {
  readonly pass: (frame: Frame, direction: Direction) => Verdict
  /** A message has come behind those that are held. True: the moment is now. Absent: it is when a message is held. */
  readonly come?: (frame: Frame, direction: Direction) => boolean
}

export interface Step {
  readonly name: string
  /** In words, where the loop stands. */
  readonly what: string
  readonly provoke: Provocation | null
  /** A new trap for each relay. Null: no particular moment. */
  readonly trap: ((random: Random) => () => Trap) | null
}
