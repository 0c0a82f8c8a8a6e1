/** What the promises are held against: everything that came since the last time, read while nobody writes. */
import type { RelayCursor } from "../../../services/outbox-relay/cursor.ts"
import type { Head, LogMessage } from "#nats/log.ts"
import type { Findings } from "../../program/program.ts"
import type { RelayState } from "../world/relay.ts"

export interface OutboxRow {
  readonly id: number
  readonly xid: string
  readonly subject: string
  readonly op: string
  readonly after: string
  readonly mutation: string | null
}

export interface StreamMessage extends LogMessage {
  /** On the last message of a batch. */
  readonly cursor: RelayCursor | null
}

export interface Evidence {
  /** New rows of the outbox, by id. Every transaction has ended. */
  readonly rows: ReadonlyArray<OutboxRow>
  /** New messages of CHANGES, by sequence; epochs among them. */
  readonly messages: ReadonlyArray<StreamMessage>
  /** New messages of STATE, by sequence: of each address the newest. */
  readonly state: ReadonlyArray<LogMessage>
  /** The living rows of every tracked table: subject → row as JSON. */
  readonly tables: ReadonlyMap<string, string>
  readonly head: Head
  /** What the relay noted in Postgres. */
  readonly noted: { readonly epoch: string; readonly acked: number } | null
  readonly relays: ReadonlyArray<RelayState>
  /** Sessions that hold the lease. */
  readonly leases: number
  /** Transactions that a writer was told are committed. */
  readonly acknowledged: ReadonlyArray<string>
  /** Losses on purpose, and how many epochs may have come of them. */
  readonly losses: { readonly least: number; readonly most: number }
  /** What is wrong with what clients were shown; null where there are none. */
  readonly audience: Findings | null
  /** What did not come within its time, and what nobody had asked for. */
  readonly complaints: ReadonlyArray<string>
}
