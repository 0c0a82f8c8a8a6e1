/**
 * How much room there is on both sides, looked at now and then: the outbox grows while nothing is published, JetStream's store fills while clients
 * are served. Both are told by metrics, and by one line in the log, while there is still time. What is not seen from here: the free
 * disk under Postgres and under nats-server, and nats-server's own max_file_store (by default three quarters of what was free when it started).
 */
import type { Sql } from "#db/postgres.ts"
import type { Nats } from "#nats/connection.ts"
import { CHANGES, streamInfo } from "#nats/streams.ts"
import { ROOM_MS, ROOM_WARN_PART } from "#protocol/limits.ts"
import { room } from "./metrics.ts"

export interface Room {
  readonly session: Sql
  readonly nats: Nats
  /** Bytes of the outbox from which on it is worth a word. */
  readonly warnBytes: number
  /** The snapshot that is published whole, or null while that is not known. */
  readonly published: () => string | null
  readonly warn: (what: string, hint: string) => void
}

export interface RoomWatch {
  /** Looks now; else it does so by the clock. */
  readonly look: () => void
  readonly stop: () => void
}

/** A look that fails leaves the figures as they were: who is away is told elsewhere. */
export const watchRoom = (on: Room): RoomWatch => {
  const look = (): void => {
    void lookAtOutbox(on).catch(() => {})
    if (on.nats.connected()) void lookAtStore(on).catch(() => {})
  }
  const timer = setInterval(look, ROOM_MS)
  return { look, stop: () => clearInterval(timer) }
}

const lookAtOutbox = async ({ session, warnBytes, published, warn }: Room): Promise<void> => {
  const last = published()
  if (last === null) return
  const [size] = await session<Array<{ bytes: number; partitions: number; a_day: number; oldest: number }>>`
    select bytes, partitions, bytes_a_day as a_day, oldest_s as oldest from tide.outbox_size(${last}::text::pg_snapshot)`
  const { bytes, partitions, a_day, oldest } = size!
  room.outboxBytes.set(bytes)
  room.outboxPartitions.set(partitions)
  room.oldestUnpublished.set(oldest)
  room.daysOfRoom.set(a_day === 0 ? 0 : Math.max(0, (warnBytes - bytes) / a_day))
  if (bytes > warnBytes) warn("the outbox is larger than TIDELINE_OUTBOX_WARN_BYTES", "npx tideline doctor says why; fewer TIDELINE_OUTBOX_DAYS make it smaller once all is published")
}

const lookAtStore = async ({ nats, warn }: Room): Promise<void> => {
  const account = await nats.jetstream.getAccountInfo()
  const changes = await streamInfo(nats, CHANGES)
  room.storeBytes.set(account.storage)
  room.storeLimit.set(Math.max(0, account.limits.max_storage))
  room.changesBytes.set(changes?.state.bytes ?? 0)
  room.changesLimit.set(Math.max(0, changes?.config.max_bytes ?? 0))
  if (isNearlyFull(account.storage, account.limits.max_storage)) warn("JetStream's store is nearly full for this account", "raise the account's limit before it refuses what is new")
  if (changes !== null && isNearlyFull(changes.state.bytes, changes.config.max_bytes)) warn("CHANGES is nearly full", "raise its bound before it refuses what is new: nats stream edit CHANGES --max-bytes=…")
}

const isNearlyFull = (bytes: number, limit: number): boolean => limit > 0 && bytes > ROOM_WARN_PART * limit
