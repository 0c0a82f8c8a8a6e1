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
 */
import type { Pattern } from "#protocol/grant.ts"
import { normalise } from "#protocol/grant.ts"
import { DIRECT_BYTES, DIRECT_FLOATING_IDS, DIRECT_IDS, DIRECT_MESSAGES, DIRECT_SCOPES, NEAR_MESSAGES, REPLAY_FILTERS, REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import { filterSubject } from "#protocol/subject.ts"
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

/** How the patterns are read: see the table above. */
const open = async (nats: Nats, patterns: ReadonlyArray<Pattern>, after: number, upTo: number, sources: Array<Source>): Promise<void> => {
  const near = upTo - after <= NEAR_MESSAGES
  const kinds = { wide: [] as Array<string>, scoped: [] as Array<string>, exact: [] as Array<string>, floating: [] as Array<string> }
  for (const p of patterns) {
    const kind = p.entity === null || (p.scope === null && p.id === null) ? "wide" : p.id === null ? "scoped" : p.scope === null ? "floating" : "exact"
    kinds[kind].push(filterSubject(p))
  }
  const held = new Held(after, upTo)
  const left = {
    scoped: near || kinds.scoped.length > DIRECT_SCOPES ? kinds.scoped : await held.add(nats, kinds.scoped, DIRECT_SCOPES),
    exact: near && kinds.exact.length <= REPLAY_FILTERS ? kinds.exact : await held.add(nats, kinds.exact, DIRECT_IDS),
    floating: near && kinds.floating.length <= REPLAY_FILTERS ? kinds.floating : await held.add(nats, kinds.floating, DIRECT_FLOATING_IDS),
  }
  if (held.messages.length > 0) sources.push(heldSource(held.messages.sort((a, b) => a.seq - b.seq)))
  // An id in any scope overlaps a scope with any id: not in one consumer.
  for (const filters of [[...kinds.wide, ...left.scoped, ...left.exact], left.floating])
    for (let i = 0; i < filters.length; i += REPLAY_FILTERS)
      sources.push(await consumerSource(nats, STATE, filters.slice(i, i + REPLAY_FILTERS), after, upTo))
}

/** What direct gets brought, up to a bound. */
class Held {
  readonly messages: Array<LogMessage> = []
  private bytes = 0
  private readonly after: number
  private readonly upTo: number

  constructor(after: number, upTo: number) {
    this.after = after
    this.upTo = upTo
  }

  /** Gets what the filters match, `size` filters at a time, and answers those it did not: a consumer must read them. */
  async add(nats: Nats, filters: ReadonlyArray<string>, size: number): Promise<ReadonlyArray<string>> {
    const left: Array<string> = []
    const queue: Array<ReadonlyArray<string>> = []
    for (let i = 0; i < filters.length; i += size) queue.push(filters.slice(i, i + size))
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
      if (this.full()) {
        left.push(...part)
        continue
      }
      const messages = await newestOf(nats, STATE, part)
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
      if (message.seq <= this.after || message.seq > this.upTo) continue
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
