/**
 * What many users may see, in one answer: asked by an edge when an event of the log touched many of its connections. Users with the same
 * granted principals have the same rights, which are worked out and told once. Each answer is exact as of its own sequence, or says why it cannot be
 * given; nothing is left open.
 */
import { Schema } from "effect"
import { setImmediate as turn } from "node:timers/promises"
import type { Pattern } from "#protocol/grant.ts"
import { MESSAGE_BYTES, VIEWS_BYTES, VIEWS_TURN_MS } from "#protocol/limits.ts"
import type { PatternTuple, ViewAsk, ViewsReply, ViewsRequest } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import type { Fold } from "./fold.ts"
import type { LiveFold } from "./live-fold.ts"

export interface Viewing {
  readonly fold: LiveFold
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export const makeViews =
  ({ fold, now }: Viewing) =>
  async ({ asks }: typeof ViewsRequest.Type): Promise<ViewsReply> => {
    const folds = await reach(fold, asks)
    const reply = new Reply(now())
    let until = performance.now() + VIEWS_TURN_MS
    for (const [i, asked] of asks.entries()) {
      if (!reply.add(asked, folds[i]!)) break
      if (performance.now() < until) continue
      await turn()
      until = performance.now() + VIEWS_TURN_MS
    }
    return reply
  }

/** For each ask the fold that reaches as far, or why there is none. Most ask about the same sequence. */
const reach = async (fold: LiveFold, asks: ReadonlyArray<ViewAsk>): Promise<ReadonlyArray<Fold | RequestError>> => {
  const needed = asks.map(({ at, before }) => Math.max(at, ...before))
  const reached = new Map<number, Promise<Fold | RequestError>>()
  for (const seq of needed) {
    if (!reached.has(seq))
      reached.set(seq, fold.reached(seq).catch((cause: unknown) => {
        if (cause instanceof RequestError) return cause
        throw cause
      }))
  }
  return Promise.all(needed.map((seq) => reached.get(seq)!))
}

/** A list of patterns that has a place among those of the reply. */
interface Place {
  readonly view: number
  readonly expiresAt: number | null
}

const encodeError = Schema.encodeSync(RequestError)

class Reply implements ViewsReply {
  readonly views: Array<ViewsReply["views"][number]> = []
  readonly patterns: Array<ReadonlyArray<PatternTuple>> = []
  readonly #now: number
  #bytes = 0
  /** By what it is the answer to; null: not known. */
  readonly #places = new Map<string, Place | null>()

  constructor(now: number) {
    this.#now = now
  }

  /** Only what goes into the message. */
  toJSON(): ViewsReply {
    return { views: this.views, patterns: this.patterns }
  }

  /** Answers one more; false where it has no room any more. */
  add({ user, at, before }: ViewAsk, fold: Fold | RequestError): boolean {
    if (fold instanceof RequestError) {
      this.views.push({ error: encodeError(fold) })
      return true
    }
    const bytes = this.#bytes
    const count = this.patterns.length
    const principals = fold.principals(user, at)
    for (const principal of principals) this.#bytes += Buffer.byteLength(principal)
    const now = this.#now
    const allowed = this.#place(`at ${at}`, fold.granted(principals), (granted) => fold.allowed(granted, at, now))!
    const earlier = before.map((seq) =>
      this.#place(`held ${seq}`, fold.granted(fold.principals(user, seq)), (granted) => {
        const held = fold.held(granted, seq, now)
        return held === null ? null : { allowed: held, expiresAt: null }
      }),
    )
    if (this.#bytes > VIEWS_BYTES && bytes > 0) {
      this.#takeBack(count, bytes)
      return false
    }
    if (this.#bytes > MESSAGE_BYTES / 2) {
      this.#takeBack(count, bytes)
      this.views.push({ error: encodeError(tooLarge) })
      return true
    }
    this.views.push({
      principals,
      view: allowed.view,
      before: earlier.every((place) => place !== null) ? earlier.map(({ view }) => view) : null,
      expiresAt: allowed.expiresAt,
    })
    return true
  }

  #place(what: string, granted: ReadonlyArray<string>, fold: (granted: ReadonlyArray<string>) => { readonly allowed: ReadonlyArray<Pattern>; readonly expiresAt: number | null } | null): Place | null {
    const key = JSON.stringify([what, ...granted.toSorted()])
    const known = this.#places.get(key)
    if (known !== undefined) return known
    const found = fold(granted)
    if (found === null) {
      this.#places.set(key, null)
      return null
    }
    const patterns = found.allowed.map(({ scope, entity, id }): PatternTuple => [scope, entity, id])
    this.#bytes += Buffer.byteLength(JSON.stringify(patterns))
    const place = { view: this.patterns.push(patterns) - 1, expiresAt: found.expiresAt }
    this.#places.set(key, place)
    return place
  }

  /** Without what the last ask put in. */
  #takeBack(count: number, bytes: number): void {
    this.patterns.length = count
    this.#bytes = bytes
    for (const [key, place] of this.#places) if (place !== null && place.view >= count) this.#places.delete(key)
  }
}

const tooLarge = new RequestError({
  code: "too_large",
  message: "the user's grants come to more than one message holds",
  hint: "grant scopes, or entity types, in place of single entities",
})
