/**
 * Following CHANGES: one reader after another, each from where the last one ended. A reader ends when the link to the server does,
 * when it falls silent or when it misses a message. Before the next one the stream is asked whether it is still the one that was
 * followed: it must not have shrunk below the position, and the message at the position must be the very one that was given,
 * stored at the same nanosecond. A stream that lost its tail and grew again is thereby told from one that lost nothing.
 */
import { matches, normalise, overlaps } from "#protocol/grant.ts"
import type { Pattern } from "#protocol/grant.ts"
import { FOLLOW_AHEAD, READER_HEARTBEAT_MS, REPLAY_FILTERS } from "#protocol/limits.ts"
import type { Address } from "#protocol/subject.ts"
import { ALL_CHANGES, filterSubject } from "#protocol/subject.ts"
import type { Nats } from "./connection.ts"
import { decodeMessage, millisOf } from "./decode.ts"
import type { Follow, Following } from "./log.ts"
import { LogError } from "./log.ts"
import { asLogError } from "./log-error.ts"
import type { Reader } from "./reader.ts"
import { openReader } from "./reader.ts"
import { CHANGES } from "./streams.ts"

/** Milliseconds without a sign from the server after which a reader is given up: one heartbeat lost and one late. */
const SILENT_MS = 2.5 * READER_HEARTBEAT_MS
const RETRY_MS = 200

export const followChanges = async (nats: Nats, follow: Follow): Promise<Following> => {
  const { patterns } = follow
  const filters = filterSubjects(patterns)
  const everything = filters.includes(ALL_CHANGES)
  const wanted = (address: Address): boolean => patterns === undefined || patterns.some((pattern) => matches(pattern, address))
  let position = follow.from - 1
  /** The message at the position as it was stored, once one was given. */
  let stored: { readonly seq: number; readonly time: string } | null = null
  let created: string | null = null
  let heardAt = Date.now()
  let reader: Reader | null = null
  /** Grows with each reader: a late call of an earlier one is told by it. */
  let generation = 0
  let silent = false
  let attached = false
  let ended = false
  let retry: NodeJS.Timeout | undefined
  const waiting = new Set<{ readonly seq: number; readonly check: () => void }>()

  const moveTo = (seq: number): void => {
    if (seq <= position) return
    position = seq
    for (const one of waiting) if (one.seq <= seq) one.check()
  }

  const end = (): void => {
    ended = true
    attached = false
    generation++
    clearInterval(watch)
    clearTimeout(retry)
    stopListening()
    reader?.close()
    reader = null
    for (const one of waiting) one.check()
  }

  const reset = (reason: "lost" | "trimmed", message: string): void => {
    end()
    follow.event({ type: "reset", reason, position, message })
  }

  /** Why the stream cannot be gone on with from the position, or null; a stream that is mirrored here may be behind for a while. */
  const broken = async (first: number, last: number, made: string, mirror: boolean): Promise<["lost" | "trimmed", string] | "later" | null> => {
    if (created !== null && made !== created && !mirror) return ["lost", `${CHANGES} was made anew at ${made}`]
    if (last < position) return mirror ? "later" : ["lost", `${CHANGES} ends at ${last}, ${position} was given`]
    if (first > position + 1) return ["trimmed", `${CHANGES} begins at ${first}, ${position + 1} comes next`]
    if (stored === null || stored.seq < first) return null
    const message = await nats.jetstream.streams.getMessage(CHANGES, { seq: stored.seq })
    if (message !== null && sameTime(message.timestamp, stored.time)) return null
    return ["lost", `${CHANGES} holds another message at ${stored.seq} than was given`]
  }

  const attach = async (initial: boolean): Promise<void> => {
    const mine = ++generation
    attached = false
    reader?.close()
    reader = null
    const info = await nats.jetstream.streams.info(CHANGES)
    const { first_seq: first, last_seq: last } = info.state
    if (mine !== generation) return
    if (initial) {
      if (first > position + 1) throw new LogError({ reason: "trimmed", message: `${CHANGES} begins at ${first}`, hint: `start over from STATE` })
      if (last < position) throw new LogError({ reason: "ahead", message: `${CHANGES} ends at ${last}`, hint: `compare epochs: the position is of a lost history` })
    } else {
      const why = await broken(first, last, info.created, info.mirror !== undefined)
      if (mine !== generation) return
      if (why === "later") return again(mine)
      if (why !== null) return reset(...why)
    }
    created = info.created
    let current = false
    const becomeCurrent = () => {
      current = true
      silent = false
      follow.event({ type: "current", seq: position })
    }
    const next = await openReader(nats, {
      stream: CHANGES,
      filters,
      from: position + 1,
      ahead: FOLLOW_AHEAD,
      message: (delivery, message) => {
        if (mine !== generation) return
        heardAt = Date.now()
        const decoded = decodeMessage(delivery.seq, message.subject, millisOf(delivery.time), message.headers, message.data)
        stored = { seq: delivery.seq, time: delivery.time }
        if (typeof decoded === "string") follow.event({ type: "unreadable", seq: delivery.seq, subject: message.subject, reason: decoded })
        else if (wanted(decoded.address)) follow.message(decoded)
        moveTo(delivery.seq)
        if (!current && (delivery.pending === 0 || delivery.seq >= last)) becomeCurrent()
      },
      idle: () => {
        heardAt = Date.now()
      },
      broken: () => {
        if (mine === generation) again(mine)
      },
    })
    if (mine !== generation) return next.close()
    reader = next
    attached = true
    heardAt = Date.now()
    if (next.pending === 0 && !current) {
      moveTo(last)
      becomeCurrent()
    }
  }

  const again = (mine: number): void => {
    if (ended || mine !== generation) return
    attached = false
    clearTimeout(retry)
    retry = setTimeout(() => {
      if (ended || !nats.connected()) return
      attach(false).catch(() => again(generation))
    }, RETRY_MS)
  }

  const watch = setInterval(() => {
    if (Date.now() - heardAt < SILENT_MS) return
    if (!silent) {
      silent = true
      follow.event({ type: "silent" })
    }
    if (reader !== null && nats.connected()) attach(false).catch(() => again(generation))
  }, READER_HEARTBEAT_MS)
  watch.unref()
  const stopListening = nats.onStatus((connected) => {
    if (ended) return
    if (connected) attach(false).catch(() => again(generation))
    else {
      generation++
      attached = false
      reader?.close()
      reader = null
    }
  })

  try {
    await attach(true)
  } catch (error) {
    end()
    throw asLogError(error)
  }

  /** Asks the server how far the reading is; only a filtered one needs it. */
  const ask = async (): Promise<void> => {
    const mine = generation
    if (reader === null) return
    const { last_seq } = (await nats.jetstream.streams.info(CHANGES)).state
    if (mine !== generation || reader === null || last_seq <= position) return
    const info = await nats.jetstream.consumers.info(CHANGES, reader.name)
    // Nothing is to come, and all that was sent has arrived: so everything that matches up to that end was given.
    if (mine === generation && info.num_pending === 0 && info.delivered.consumer_seq === reader.given()) moveTo(last_seq)
  }

  return {
    position: () => position,
    heardAt: () => heardAt,
    attached: () => attached,
    reach: (seq, timeoutMs) => reach({ seq, timeoutMs, position: () => position, ended: () => ended, waiting, ...(everything ? {} : { ask }) }),
    stop: () => {
      if (!ended) end()
      return Promise.resolve()
    },
  }
}

interface Reach {
  readonly seq: number
  readonly timeoutMs: number
  readonly position: () => number
  readonly ended: () => boolean
  readonly waiting: Set<{ readonly seq: number; readonly check: () => void }>
  readonly ask?: () => Promise<void>
}

/** Milliseconds between questions to the server while one waits for a number that may pass without a message. */
const ASK_MS = 20

const reach = (to: Reach): Promise<number> =>
  new Promise((resolve, reject) => {
    const finish = (answer: () => void): void => {
      to.waiting.delete(one)
      clearTimeout(timer)
      clearTimeout(asking)
      answer()
    }
    const unavailable = (message: string) => new LogError({ reason: "unavailable", message, hint: "ask again" })
    const check = (): void => {
      if (to.position() >= to.seq) finish(() => resolve(to.position()))
      else if (to.ended()) finish(() => reject(unavailable("following has ended")))
    }
    const one = { seq: to.seq, check }
    let asking: NodeJS.Timeout | undefined
    const timer = setTimeout(
      () => finish(() => reject(unavailable(`at ${to.position()} after ${to.timeoutMs} ms, asked for ${to.seq}`))),
      to.timeoutMs,
    )
    const { ask } = to
    const askAgain = (): void => {
      if (!to.waiting.has(one)) return
      void ask!()
        .catch(() => {})
        .finally(() => {
          check()
          if (to.waiting.has(one)) asking = setTimeout(askAgain, ASK_MS)
        })
    }
    to.waiting.add(one)
    check()
    if (ask !== undefined) askAgain()
  })

/** The subjects a follower asks for. A consumer's filters may not overlap: where the patterns do, it asks for all and sifts. */
const filterSubjects = (patterns: ReadonlyArray<Pattern> | undefined): ReadonlyArray<string> => {
  if (patterns === undefined) return [ALL_CHANGES]
  const distinct = normalise(patterns)
  const clash = distinct.some((a, i) => distinct.slice(i + 1).some((b) => overlaps(a, b)) || (a.entity === null && distinct.length > 1))
  return clash || distinct.length === 0 || distinct.length > REPLAY_FILTERS ? [ALL_CHANGES] : distinct.map(filterSubject)
}

/** Whether an RFC 3339 time with up to nine decimals is the instant `nanos`. */
const sameTime = (timestamp: string, nanos: string): boolean => {
  const decimals = /\.(\d+)/.exec(timestamp)?.[1] ?? ""
  const seconds = Math.floor(Date.parse(timestamp.replace(/\.\d+/, "")) / 1_000)
  return `${seconds}${decimals.padEnd(9, "0")}` === nanos
}
