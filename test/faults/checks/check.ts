/** A check of one promise. */
import type { Evidence } from "./evidence.ts"
import type { Pairs } from "./pair.ts"

/** Is given all evidence in turn, and answers what is wrong, in words. */
export type Judge = (evidence: Evidence, pairs: Pairs) => ReadonlyArray<string>

export interface Check {
  readonly name: string
  /** The promise in words. */
  readonly promise: string
  /** A judge that has seen nothing. */
  readonly begin: () => Judge
  /** Its judge goes on where the stream lost something and all is read again; the others begin anew. */
  readonly lasting?: boolean
}

/** Words for one violation at most so many; a broken stream breaks everywhere. */
const SHOWN = 5

export const shortened = (wrong: ReadonlyArray<string>): ReadonlyArray<string> =>
  wrong.length <= SHOWN ? wrong : [...wrong.slice(0, SHOWN), `and ${wrong.length - SHOWN} more like these`]
