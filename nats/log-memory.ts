/** The log in memory, for tests of what reads it: the same contract (test/contract/log.ts), no server, and history can be lost on purpose. */
import { matches, normalise } from "#protocol/grant.ts"
import { changeSubject, parseSubject } from "#protocol/subject.ts"
import type { Address } from "#protocol/subject.ts"
import type { Follow, Following, Head, Log, LogMessage, ReadState, StateRead } from "./log.ts"
import { LogError } from "./log.ts"
import { epochsOf } from "./epochs.ts"

/** What a test writes; the rest of a message is filled in. */
export interface Written extends Address, Partial<Omit<LogMessage, "seq" | "subject" | "address">> {}

export interface MemoryLog extends Log {
  /** Appends the changes as one transaction; answers the last sequence. Followers hear of them in a later turn. */
  readonly append: (...changes: ReadonlyArray<Written>) => number
  /** The stream loses everything after `seq`: sequences will be used again. */
  readonly loseAfter: (seq: number) => void
  /** CHANGES no longer holds what comes before `seq`. */
  readonly trimBefore: (seq: number) => void
  /** While false every read is refused as `unavailable` and followers stand still. */
  readonly setAvailable: (available: boolean) => void
}

export const memoryLog = (now: () => number = Date.now): MemoryLog => {
  const messages: Array<LogMessage> = []
  let first = 1
  let last = 0
  let xid = 0
  let available = true
  const created = new Date(now()).toISOString()
  const followers = new Set<{ readonly deliver: () => void; readonly lose: () => void }>()

  /** STATE: the newest of each subject, in sequence order; it outlives `trimBefore`. */
  const state = (): ReadonlyArray<LogMessage> => [...new Map(messages.map((m) => [m.subject, m])).values()].sort((a, b) => a.seq - b.seq)
  const held = (): ReadonlyArray<LogMessage> => messages.filter((m) => m.seq >= first)
  const up = (): void => {
    if (!available) throw new LogError({ reason: "unavailable", message: "the log is away", hint: "ask again" })
  }
  const wake = (): void => {
    for (const one of followers) setImmediate(one.deliver)
  }

  const follow = async (wanted: Follow): Promise<Following> => {
    up()
    if (wanted.from < first) throw new LogError({ reason: "trimmed", message: `begins at ${first}`, hint: "start over from STATE" })
    if (wanted.from > last + 1) throw new LogError({ reason: "ahead", message: `ends at ${last}`, hint: "compare epochs" })
    let position = wanted.from - 1
    let heardAt = now()
    let current = false
    let lost = false
    let ended = false
    const waiting = new Set<() => void>()
    const end = (): void => {
      ended = true
      followers.delete(one)
      for (const check of waiting) check()
    }
    const deliver = (): void => {
      if (ended || !available) return
      heardAt = now()
      if (lost || first > position + 1) {
        end()
        const reason = lost ? "lost" : "trimmed"
        return wanted.event({ type: "reset", reason, position, message: `the stream ${reason === "lost" ? "lost its tail" : "was trimmed"}` })
      }
      for (const message of held()) {
        if (ended) return
        if (message.seq <= position) continue
        if (wanted.patterns === undefined || wanted.patterns.some((p) => matches(p, message.address))) wanted.message(message)
        position = message.seq
      }
      position = Math.max(position, last)
      for (const check of waiting) check()
      if (current) return
      current = true
      wanted.event({ type: "current", seq: position })
    }
    const one = {
      deliver,
      lose: () => {
        lost ||= position > last
      },
    }
    followers.add(one)
    setImmediate(deliver)
    return {
      position: () => position,
      heardAt: () => heardAt,
      attached: () => !ended && !lost,
      reach: (seq, timeoutMs) =>
        new Promise((resolve, reject) => {
          const finish = (answer: () => void): void => {
            clearTimeout(timer)
            waiting.delete(check)
            answer()
          }
          const refuse = (): void => finish(() => reject(new LogError({ reason: "unavailable", message: `at ${position}, asked for ${seq}`, hint: "ask again" })))
          const check = (): void => {
            if (position >= seq) finish(() => resolve(position))
            else if (ended) refuse()
          }
          const timer = setTimeout(refuse, timeoutMs)
          waiting.add(check)
          check()
        }),
      stop: () => {
        if (!ended) end()
        return Promise.resolve()
      },
    }
  }

  const readState = async (read: ReadState): Promise<StateRead> => {
    up()
    if (read.atLeast !== undefined && read.atLeast > last) throw new LogError({ reason: "unavailable", message: `at ${last}`, hint: "ask again" })
    const patterns = normalise(read.patterns)
    const found = state().filter((m) => m.seq > read.after && patterns.some((p) => matches(p, m.address)))
    const position = Math.max(last, read.after)
    const size = read.pageMessages ?? 1_000
    read.start?.(found.length)
    for (let i = 0; i < found.length; i += size) {
      await new Promise((resolve) => setImmediate(resolve))
      if (read.signal?.aborted === true) throw new LogError({ reason: "aborted", message: "the read was called off", hint: "" })
      up()
      await read.page(found.slice(i, i + size))
    }
    return { position, count: found.length }
  }

  return {
    follow,
    readState,
    latest: async (addresses) => {
      up()
      const subjects = new Set(addresses.map(changeSubject))
      return state().filter((m) => subjects.has(m.subject))
    },
    history: async ({ entity, id, scope, before = Number.POSITIVE_INFINITY, limit = 1_000 }) => {
      up()
      return held()
        .filter((m) => m.address.entity === entity && m.address.id === id && (scope === null || m.address.scope === scope) && m.seq < before)
        .slice(-limit)
    },
    head: async (): Promise<Head> => {
      up()
      return { first, last, state: last, lastAt: messages.at(-1)?.storedAt ?? null, created }
    },
    since: async (time) => {
      up()
      return held().find((m) => m.storedAt >= time.getTime())?.seq ?? last + 1
    },
    epochs: async () => {
      up()
      return epochsOf(state().filter((m) => m.address.entity === "_epoch"))
    },
    append: (...changes) => {
      xid++
      changes.forEach(({ scope, entity, id, ...rest }, i) => {
        const subject = changeSubject({ scope, entity, id })
        messages.push({
          operation: rest.body === "" ? "DELETE" : "UPDATE",
          body: "{}",
          at: new Date(now()).toISOString().replace("Z", "000Z"),
          user: null,
          mutation: null,
          trace: null,
          before: null,
          transaction: { xid: String(xid), position: i + 1, count: changes.length },
          storedAt: now(),
          ...rest,
          seq: ++last,
          subject,
          address: parseSubject(subject)!,
        })
      })
      wake()
      return last
    },
    loseAfter: (seq) => {
      while (messages.length > 0 && messages.at(-1)!.seq > seq) messages.pop()
      last = seq
      for (const one of followers) one.lose()
      wake()
    },
    trimBefore: (seq) => {
      first = seq
      wake()
    },
    setAvailable: (now) => {
      available = now
      if (now) wake()
    },
  }
}
