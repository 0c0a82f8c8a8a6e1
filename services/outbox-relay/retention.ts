/**
 * Partitions of the outbox come and go: those of the next days are made ahead, old ones dropped once they were published long enough ago
 * (db/functions/01_outbox.sql, which keeps what is not). The relay does it, being the one who knows what is published. While none runs, none goes.
 */
import type { Sql } from "#db/postgres.ts"
import { PARTITIONS_MS } from "#protocol/limits.ts"
import * as metrics from "./metrics.ts"

export interface Retention {
  /** Everything is published: drops what is old, unless that was looked at lately. A relay that is always busy does so by the clock. */
  readonly tick: () => void
  readonly stop: () => void
}

/** `published`: the snapshot that is published whole, or null while that is not known. `failed` hears why it could not be done, to be tried again. */
export const keepPartitions = (session: Sql, days: number, published: () => string | null, failed: (why: string) => void): Retention => {
  let dueAt = 0
  const attempt = (what: () => Promise<void>): Promise<void> => what().catch((cause: unknown) => failed(cause instanceof Error ? cause.message : String(cause)))
  const make = async (): Promise<void> => {
    await session`select tide.make_partitions()`
  }
  const drop = async (last: string): Promise<void> => {
    const dropped = await session`select tide.drop_partitions(make_interval(days => ${days}), ${last}::text::pg_snapshot)`
    metrics.dropped.add(dropped.length)
  }
  const timer = setInterval(() => {
    void attempt(make)
    tick()
  }, PARTITIONS_MS)
  const tick = (): void => {
    const last = published()
    if (last === null || Date.now() < dueAt) return
    dueAt = Date.now() + PARTITIONS_MS / 2
    void attempt(() => drop(last))
  }
  void attempt(make)
  return { tick, stop: () => clearInterval(timer) }
}
