/**
 * What many users may see, in one answer: asked by an edge when an event of the log touched many of its connections. Users with the same
 * granted principals have the same rights, which are worked out and told once. Each answer is exact as of its own sequence, or says why it cannot be
 * given; nothing is left open.
 */
import { Schema } from "effect"
import { setImmediate as turn } from "node:timers/promises"
import { Json } from "#nats/serve.ts"
import type { Pattern } from "#protocol/grant.ts"
import { FOLD_KEPT_FROM, MESSAGE_BYTES, VIEWS_BYTES, VIEWS_TURN_MS } from "#protocol/limits.ts"
import type { PatternTuple, ViewAsk, ViewsReply, ViewsRequest } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import type { Fold } from "./fold.ts"
import type { LiveFold } from "./live-fold.ts"

export interface Viewing {
  readonly fold: LiveFold
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Bytes of patterns of one user at most: half of what a message holds, unless told. */
  readonly viewBytes?: number
}

export const makeViews =
  ({ fold, now, viewBytes = MESSAGE_BYTES / 2 }: Viewing) =>
  async ({ asks }: typeof ViewsRequest.Type): Promise<Json> => {
    const folds = await reach(fold, asks)
    const reply = new Reply(now(), viewBytes)
    let until = performance.now() + VIEWS_TURN_MS
    for (const [i, asked] of asks.entries()) {
      if (!reply.add(asked, folds[i]!)) break
      if (performance.now() < until) continue
      await turn()
      until = performance.now() + VIEWS_TURN_MS
    }
    return reply.json()
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

/** Of a list that the fold keeps: it is written once. */
const written = new WeakMap<ReadonlyArray<Pattern>, Written>()
interface Written {
  readonly text: string
  readonly bytes: number
}

const write = (patterns: ReadonlyArray<Pattern>): Written => {
  const known = written.get(patterns)
  if (known !== undefined) return known
  const text = JSON.stringify(patterns.map(({ scope, entity, id }): PatternTuple => [scope, entity, id]))
  const now = { text, bytes: Buffer.byteLength(text) }
  if (patterns.length >= FOLD_KEPT_FROM) written.set(patterns, now)
  return now
}

/** A list of patterns that has a place among those of the reply. */
interface Place {
  readonly view: number
  readonly expiresAt: number | null
}

const encodeError = Schema.encodeSync(RequestError)

class Reply {
  readonly #views: Array<ViewsReply["views"][number]> = []
  /** Each list of patterns as it is written. */
  readonly #lists: Array<string> = []
  /** Their places: what says the same, as of now and as of an earlier sequence or by other principals, is told once. */
  readonly #places = new Map<string, number>()
  readonly #now: number
  readonly #most: number
  #bytes = 0
  /** By what it is the answer to; null: not known. */
  readonly #answers = new Map<string, Place | null>()

  constructor(now: number, most: number) {
    this.#now = now
    this.#most = most
  }

  json(): Json {
    return new Json(`{"views":${JSON.stringify(this.#views)},"patterns":[${this.#lists.join(",")}]}`)
  }

  /** Answers one more; false where it has no room any more. */
  add({ user, at, before }: ViewAsk, fold: Fold | RequestError): boolean {
    if (fold instanceof RequestError) {
      this.#views.push({ error: encodeError(fold) })
      return true
    }
    const bytes = this.#bytes
    const count = this.#lists.length
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
    if (this.#bytes > this.#most) {
      this.#takeBack(count, bytes)
      this.#views.push({ error: encodeError(tooLarge) })
      return true
    }
    this.#views.push({
      principals,
      view: allowed.view,
      before: earlier.every((place) => place !== null) ? earlier.map(({ view }) => view) : null,
      expiresAt: allowed.expiresAt,
    })
    return true
  }

  #place(what: string, granted: ReadonlyArray<string>, fold: (granted: ReadonlyArray<string>) => { readonly allowed: ReadonlyArray<Pattern>; readonly expiresAt: number | null } | null): Place | null {
    const key = `${what}\0${granted.toSorted().join("\0")}`
    const known = this.#answers.get(key)
    if (known !== undefined) return known
    const found = fold(granted)
    const place = found === null ? null : { view: this.#list(found.allowed), expiresAt: found.expiresAt }
    this.#answers.set(key, place)
    return place
  }

  #list(patterns: ReadonlyArray<Pattern>): number {
    const { text, bytes } = write(patterns)
    const known = this.#places.get(text)
    if (known !== undefined) return known
    const place = this.#lists.push(text) - 1
    this.#places.set(text, place)
    this.#bytes += bytes
    return place
  }

  /** Without what the last ask put in. */
  #takeBack(count: number, bytes: number): void {
    for (const text of this.#lists.splice(count)) this.#places.delete(text)
    this.#bytes = bytes
    for (const [key, place] of this.#answers) if (place !== null && place.view >= count) this.#answers.delete(key)
  }
}

const tooLarge = new RequestError({
  code: "too_large",
  message: "the user's grants come to more than one message holds",
  hint: "grant scopes, or entity types, in place of single entities",
})
