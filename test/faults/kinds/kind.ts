/** A kind of fault. It strikes at a moment that it is handed, and puts right what it broke: when it resolves, everything is there again. */
import type { Random } from "#test/support/random.ts"
import type { Moment } from "../steps/arm.ts"
import type { Step } from "../steps/step.ts"
import type { World } from "../world/world.ts"

export interface FaultKind {
  readonly name: string
  /** In words, what happens. */
  readonly what: string
  /** At which steps it may strike. */
  readonly at: (step: Step) => boolean
  /** It strikes what stands before the clients: only where there are any. */
  readonly front?: true
  /** How often it is chosen beside the others; 1 unless told. */
  readonly weight?: number
  /** Milliseconds from here in which a new change must be published; 20,000 unless told. */
  readonly recovers?: number
  /** Answers what was done, for the log. */
  readonly strike: (world: World, moment: Moment, random: Random) => Promise<string>
}

/** At every step of the loop. */
export const anyStep = (): boolean => true
/** Where no particular step is waited for. */
export const anywhere = (step: Step): boolean => step.trap === null
