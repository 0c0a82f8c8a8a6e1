/**
 * Everything that CHANGES held, as it was read from it: by sequence, by transaction, by entity. Where CHANGES was made again beside its
 * mirror and begins later, what is older is what STATE kept.
 */
import type { Log, LogMessage } from "#nats/log.ts"

const READ_MS = 60_000

export class History {
  readonly #log: Log
  readonly #messages = new Map<number, LogMessage>()
  readonly #byEntity = new Map<string, Array<LogMessage>>()
  /** The last sequence that was read. */
  head = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** Reads on to where the stream ends now; `message` is told each, in order. */
  async read(message: (message: LogMessage) => void): Promise<void> {
    const { first, last } = await this.#log.head()
    if (last <= this.head) return
    const take = (one: LogMessage): void => {
      if (one.seq > last) return
      this.#messages.set(one.seq, one)
      const key = `${one.address.entity}/${one.address.id}`
      const versions = this.#byEntity.get(key)
      if (versions === undefined) this.#byEntity.set(key, [one])
      else versions.push(one)
      message(one)
    }
    const from = Math.max(first, this.head + 1)
    if (this.head === 0 && from > 1) await this.#kept(from, take)
    const following = await this.#log.follow({ from, message: take, event: () => undefined })
    await following.reach(last, READ_MS)
    await following.stop()
    this.head = last
  }

  async #kept(before: number, take: (message: LogMessage) => void): Promise<void> {
    const kept: Array<LogMessage> = []
    await this.#log.readState({ patterns: [{ entity: null, scope: null, id: null }], after: 0, page: (page) => void kept.push(...page) })
    for (const message of kept.sort((a, b) => a.seq - b.seq)) {
      // Of its transaction the rest may be gone.
      if (message.seq < before) take({ ...message, transaction: { ...message.transaction, position: 1, count: 1 } })
    }
  }

  at(seq: number): LogMessage | undefined {
    return this.#messages.get(seq)
  }

  /** Those after one sequence and up to another, in order. */
  *between(from: number, to: number): Iterable<LogMessage> {
    for (let seq = from + 1; seq <= to; seq++) {
      const message = this.#messages.get(seq)
      if (message !== undefined) yield message
    }
  }

  /** In words: what happened to the entity around a sequence. */
  around(key: string, seq: number): ReadonlyArray<string> {
    const versions = this.#byEntity.get(key) ?? []
    const place = versions.findIndex((message) => message.seq >= seq)
    const middle = place < 0 ? versions.length : place
    return versions.slice(Math.max(0, middle - 4), middle + 4).map(
      ({ seq: at, operation, address, transaction, user, mutation, at: time }) =>
        `${at} ${operation} in ${address.scope} (transaction ${transaction.xid}, ${transaction.position}/${transaction.count}, by ${user ?? "nobody"}${mutation === null ? "" : `, mutation ${mutation}`}, ${time})`,
    )
  }
}
