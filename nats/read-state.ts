/**
 * A compacted read of STATE: what a first visit and a resume cost. Which way is cheapest was measured with 500,000 entities in 5,000
 * scopes (milliseconds, 2 shared cores):
 *
 *     scope of 100 rows            direct get 3      consumer from the start 90     consumer from 10,000 before the end 3
 *     20 scopes                    2 × 32            184
 *     1,000 ids, scope known       15                2,750
 *     100 ids, scope not known     220               some thousand
 *     all of a type, 10,000 rows   refused           440
 *
 * A consumer walks over what it does not want; a direct get looks up what it wants, but is held in memory to be put in order.
 *
 * An id without its scope is a walk over all scopes of the server, so very many of them may cost more than to read their whole type and sift it
 * by subject, which costs the edge's processor 10 µs a message. Nobody knows beforehand: the first of them are timed, and the server tells how
 * many messages the type has. 10,000 ids (milliseconds, busy machine):
 *
 *     50 scopes of 2,000 rows      direct gets 450       the type sifted 1,450
 *     500 scopes of 200            850                   1,950
 *     5,000 scopes of 20           12,000                3,500
 *     5,000 scopes of 100          22,000                9,500
 *     from near the end            as above              500, of any type
 */
import type { Pattern } from "#protocol/grant.ts"
import { normalise, patternKey, viewKeys } from "#protocol/grant.ts"
import { DIRECT_BYTES, DIRECT_FLOATING_IDS, DIRECT_IDS, DIRECT_MESSAGES, DIRECT_SCOPES, DIRECT_TRIAL_MS, NEAR_MESSAGES, REPLAY_FILTERS, REQUEST_TIMEOUT_MS, SIFT_MS } from "#protocol/limits.ts"
import { filterSubject, parseSubject } from "#protocol/subject.ts"
import type { Nats } from "./connection.ts"
import { newestOf, TOO_MANY } from "./direct.ts"
import type { LogMessage, ReadState, StateRead } from "./log.ts"
import { LogError } from "./log.ts"
import { asLogError } from "./log-error.ts"
import type { Source } from "./state-source.ts"
import { consumerSource, heldSource } from "./state-source.ts"
import { mirrorReached, STATE } from "./streams.ts"

export const readState = async (nats: Nats, read: ReadState): Promise<StateRead> => {
  const sources: Array<Source> = []
  try {
    if (read.atLeast !== undefined && !(await mirrorReached(nats, read.atLeast, REQUEST_TIMEOUT_MS)))
      throw new LogError({ reason: "unavailable", message: `${STATE} has not reached ${read.atLeast}`, hint: "ask again" })
    const { last_seq: upTo } = (await nats.jetstream.streams.info(STATE)).state
    const position = Math.max(upTo, read.after)
    const patterns = normalise(read.patterns)
    if (patterns.length > 0 && read.after < upTo) await open(nats, patterns, read.after, upTo, sources)
    read.start?.(sources.reduce((sum, source) => sum + source.count, 0))
    return { position, count: await drain(sources, read) }
  } catch (error) {
    throw asLogError(error)
  } finally {
    for (const source of sources) source.close()
  }
}

type Patterns = ReadonlyArray<Pattern>
interface Range {
  readonly after: number
  readonly upTo: number
}

/** How the patterns are read: see the tables above. */
const open = async (nats: Nats, patterns: Patterns, after: number, upTo: number, sources: Array<Source>): Promise<void> => {
  const near = upTo - after <= NEAR_MESSAGES
  const wide = patterns.filter((p) => p.entity === null || (p.scope === null && p.id === null))
  let scoped: Patterns = patterns.filter((p) => p.entity !== null && p.scope !== null && p.id === null)
  let exact: Patterns = patterns.filter((p) => p.entity !== null && p.scope !== null && p.id !== null)
  let floating: Patterns = patterns.filter((p) => p.entity !== null && p.scope === null && p.id !== null)
  const range = { after, upTo }
  const held = new Held(range)
  if (!near) {
    if (scoped.length <= DIRECT_SCOPES) scoped = await held.add(nats, scoped, DIRECT_SCOPES)
    exact = await held.add(nats, exact, DIRECT_IDS)
    floating = await addFloating(nats, floating, held, range, sources)
  } else if (exact.length + floating.length > REPLAY_FILTERS) {
    sources.push(await siftedSource(nats, [...exact, ...floating], range))
    exact = floating = []
  }
  if (held.messages.length > 0) sources.push(heldSource(held.messages.sort((a, b) => a.seq - b.seq)))
  // An id in any scope overlaps a scope with any id: not in one consumer.
  for (const together of [[...wide, ...scoped, ...exact], floating])
    for (let i = 0; i < together.length; i += REPLAY_FILTERS)
      sources.push(await consumerSource(nats, STATE, together.slice(i, i + REPLAY_FILTERS).map(filterSubject), after, upTo))
}

/** Gets entities in any scope, or has their types read and sifted where the first of them tell that this is cheaper. Answers those that a consumer must read. */
const addFloating = async (nats: Nats, patterns: Patterns, held: Held, range: Range, sources: Array<Source>): Promise<Patterns> => {
  const began = performance.now()
  const left: Array<Pattern> = []
  let tried = 0
  while (tried < patterns.length && performance.now() - began < DIRECT_TRIAL_MS) {
    left.push(...(await held.add(nats, patterns.slice(tried, tried + DIRECT_FLOATING_IDS), DIRECT_FLOATING_IDS)))
    tried += DIRECT_FLOATING_IDS
  }
  const rest = patterns.slice(tried)
  if (rest.length > REPLAY_FILTERS) {
    const each = (performance.now() - began) / tried
    const sifted = await siftedSource(nats, rest, range)
    if (sifted.reads * SIFT_MS < rest.length * each) {
      sources.push(sifted)
      return left
    }
    sifted.close()
  }
  return [...left, ...(await held.add(nats, rest, DIRECT_FLOATING_IDS))]
}

/** Reads all of the entities' types, `reads` messages, and keeps what is theirs. */
const siftedSource = async (nats: Nats, entities: Patterns, { after, upTo }: Range): Promise<Source & { readonly reads: number }> => {
  const types = normalise(entities.map(({ entity }) => ({ scope: null, entity, id: null })))
  const keys = new Set(entities.map(patternKey))
  const wanted = (subject: string): boolean => {
    const address = parseSubject(subject)
    return address !== null && viewKeys(address).some((key) => keys.has(key))
  }
  const source = await consumerSource(nats, STATE, types.map(filterSubject), after, upTo, wanted)
  return { ...source, reads: source.count, count: Math.min(source.count, entities.length) }
}

/** What direct gets brought, up to a bound. */
class Held {
  readonly messages: Array<LogMessage> = []
  private bytes = 0
  private readonly range: Range

  constructor(range: Range) {
    this.range = range
  }

  /** Gets what the patterns match, `size` of them at a time, and answers those it did not: a consumer must read them. */
  async add(nats: Nats, patterns: Patterns, size: number): Promise<Patterns> {
    const left: Array<Pattern> = []
    const queue: Array<Patterns> = []
    for (let i = 0; i < patterns.length; i += size) queue.push(patterns.slice(i, i + size))
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
      if (this.full()) {
        left.push(...part)
        continue
      }
      const messages = await newestOf(nats, STATE, part.map(filterSubject))
      if (messages !== TOO_MANY) this.keep(messages)
      else if (part.length === 1) left.push(...part)
      else queue.unshift(part.slice(0, part.length >> 1), part.slice(part.length >> 1))
    }
    return left
  }

  private full(): boolean {
    return this.messages.length >= DIRECT_MESSAGES || this.bytes >= DIRECT_BYTES
  }

  private keep(messages: ReadonlyArray<LogMessage>): void {
    for (const message of messages) {
      if (message.seq <= this.range.after || message.seq > this.range.upTo) continue
      this.messages.push(message)
      this.bytes += message.body.length
    }
  }
}

const PAGE_MESSAGES = 1_000

/** Gives the sources' messages as one sequence, in pages; answers how many there were. */
const drain = async (sources: ReadonlyArray<Source>, read: ReadState): Promise<number> => {
  const size = read.pageMessages ?? PAGE_MESSAGES
  const { signal } = read
  let page: Array<LogMessage> = []
  let count = 0
  let last = -1
  const give = async (): Promise<void> => {
    const full = page
    page = []
    if (full.length > 0) await read.page(full)
  }
  while (true) {
    if (signal?.aborted === true) throw aborted()
    let least: Source | null = null
    let leastSeq = Number.POSITIVE_INFINITY
    for (const source of sources) {
      let message = source.peek()
      if (message === undefined) {
        // Better a short page now than a full one later.
        if (sources.length === 1) await give()
        await orAborted(source.ready(), signal)
        message = source.peek()
      }
      if (message === null || message === undefined || message.seq >= leastSeq) continue
      least = source
      leastSeq = message.seq
    }
    if (least === null) break
    // Two sources may hold the same message where patterns overlap.
    if (leastSeq !== last) {
      page.push(least.peek()!)
      last = leastSeq
      count++
    }
    least.take()
    if (page.length >= size) await give()
  }
  await give()
  return count
}

const aborted = (): LogError => new LogError({ reason: "aborted", message: "the read was called off", hint: "" })

const orAborted = async (ready: Promise<void>, signal: AbortSignal | undefined): Promise<void> => {
  if (signal === undefined) return ready
  let stop = (): void => {}
  const calledOff = new Promise<never>((_, reject) => {
    stop = () => reject(aborted())
    signal.addEventListener("abort", stop, { once: true })
  })
  try {
    await Promise.race([ready, calledOff])
  } finally {
    signal.removeEventListener("abort", stop)
  }
}
