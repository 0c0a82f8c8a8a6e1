/** What the relay counts. */
import { counter, gauge, gaugeOf, histogram, hopLag, lagSeconds, nowMs } from "#observe/metrics.ts"
import type { Batch } from "./pack.ts"
import type { Wakefulness } from "./wake.ts"

const lag = hopLag("published")
const rows = counter("tideline_relay_rows_total", "Outbox rows published")
const batches = counter("tideline_relay_batches_total", "Batches published")
const size = histogram("tideline_relay_batch_rows", "Rows in a batch", [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000])
export const looks = counter("tideline_relay_looks_total", "Looks at the outbox")
export const stops = counter("tideline_relay_stops_total", "Times that publishing stopped for a reason")
export const dropped = counter("tideline_relay_partitions_dropped_total", "Old outbox partitions dropped")
export const aside = counter("tideline_relay_set_aside_total", "Changes set aside because they, or an earlier one of their address, fit no message")
export const addressesAside = gauge("tideline_relay_addresses_set_aside", "Addresses of which changes are set aside")
export const active = gauge("tideline_relay_active", "1 while this relay has the lease and publishes")
export const epochNumber = gauge("tideline_relay_epoch", "The number of the epoch in force")
export const rebuilding = gauge("tideline_relay_rebuilding", "1 while the log is brought into line with the tables")
export const ackedSeq = gauge("tideline_relay_acked_sequence", "The highest stream sequence acknowledged")

/** See room.ts. A limit of 0 is none. */
export const room = {
  outboxBytes: gauge("tideline_outbox_bytes", "Bytes of the outbox with its indexes"),
  outboxPartitions: gauge("tideline_outbox_partitions", "Partitions of the outbox"),
  oldestUnpublished: gauge("tideline_outbox_oldest_unpublished_seconds", "Age of the oldest change that is not known to be published"),
  daysOfRoom: gauge("tideline_outbox_days_of_room", "Days until the outbox reaches TIDELINE_OUTBOX_WARN_BYTES, at the pace of the last whole day"),
  storeBytes: gauge("tideline_jetstream_storage_bytes", "Bytes that the account has in JetStream's file store"),
  storeLimit: gauge("tideline_jetstream_storage_limit_bytes", "Bytes that the account may have there"),
  changesBytes: gauge("tideline_changes_bytes", "Bytes of CHANGES"),
  changesLimit: gauge("tideline_changes_limit_bytes", "Bytes that CHANGES may have"),
}

export const asleepIs = (state: () => Wakefulness): void =>
  gaugeOf("tideline_relay_asleep", "1 while the relay waits for a notification alone", () => (state() === "asleep" ? 1 : 0))

/** A batch was acknowledged. A backlog's lag is its age. */
export const published = (batch: Batch): void => {
  const now = nowMs()
  for (const { row } of batch) lag.observe(lagSeconds(row.at, now))
  rows.add(batch.length)
  batches.add()
  size.observe(batch.length)
}
