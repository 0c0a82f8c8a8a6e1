/**
 * Hop 3: reading the streams. Messages come from services/outbox-relay; edges, authz, consumers and the operator's tool read them
 * through this contract. `log-jetstream.ts` is the real one, `log-memory.ts` the one for tests; one suite runs over both
 * (test/contract/log.ts).
 *
 * Two streams, one numbering: CHANGES holds every change, STATE the newest change of every entity under the number it has
 * in CHANGES. So a position is one number, and "everything up to n" means the same in both.
 *
 * Every rejected promise is a `LogError`.
 */
import { Schema } from "effect"
import type { Epoch } from "#protocol/epoch.ts"
import type { Operation, TransactionPlace } from "#protocol/event.ts"
import type { Pattern } from "#protocol/grant.ts"
import type { Address } from "#protocol/subject.ts"

/** A change, read from a stream. */
export interface LogMessage {
  /** Its stream sequence: the version of the entity. */
  readonly seq: number
  readonly subject: string
  readonly address: Address
  readonly operation: Operation
  /** The row after the change as JSON text; empty for a deletion. */
  readonly body: string
  /** ISO 8601 with microseconds, by Postgres' clock. */
  readonly at: string
  readonly user: string | null
  readonly mutation: string | null
  readonly trace: string | null
  /** The row before as JSON text, on `_acl` events that take something away. */
  readonly before: string | null
  readonly transaction: TransactionPlace
  /** Milliseconds since 1970 at which the server stored it in CHANGES. */
  readonly storedAt: number
}

/** What a follower is told beside the messages. */
export type FollowEvent =
  /** Everything that the stream held when asked has been given: the follower is live. Again after each reconnect. */
  | { readonly type: "current"; readonly seq: number }
  /** Nothing was heard for longer than two heartbeats: what follows may be late. It goes on by itself; `current` says when. */
  | { readonly type: "silent" }
  /** Not a change (nobody but the relay should be able to write one). It is passed over; its sequence counts as given. */
  | { readonly type: "unreadable"; readonly seq: number; readonly subject: string; readonly reason: string }
  /**
   * The stream is not the one that was followed: it lost what had been given (`lost`: sequences are used again, an epoch
   * begins), or no longer holds what comes next (`trimmed`). Following has ended; read `epochs()` and start over.
   */
  | { readonly type: "reset"; readonly reason: "lost" | "trimmed"; readonly position: number; readonly message: string }

export interface Follow {
  /** The first sequence wanted. */
  readonly from: number
  /** Only what these match; absent: everything. Patterns may overlap. */
  readonly patterns?: ReadonlyArray<Pattern>
  /** In sequence order, each once. Called in the delivery loop: quick, and must not throw. */
  readonly message: (message: LogMessage) => void
  readonly event: (event: FollowEvent) => void
}

export interface Following {
  /** Every message that matches up to here was given. */
  readonly position: () => number
  /** Milliseconds since 1970 of the last sign from the server (message or heartbeat): how old the view may be. */
  readonly heardAt: () => number
  /**
   * Whether the stream is known to be the one that was followed. Not from the loss of the link, or of the reader, until the stream was asked: what is
   * there then may be another one, with other events under the same numbers. `current` says when it is known again.
   */
  readonly attached: () => boolean
  /**
   * Waits until every message up to `seq` that matches was given, and answers the position. A filtered follower asks the server, for
   * a number may pass without a message. Rejects with `unavailable` after `timeoutMs`.
   */
  readonly reach: (seq: number, timeoutMs: number) => Promise<number>
  readonly stop: () => Promise<void>
}

export interface ReadState {
  /** What to read; they may overlap (they are normalised here). None: nothing. */
  readonly patterns: ReadonlyArray<Pattern>
  /** Only changes after this sequence; 0 for everything. */
  readonly after: number
  /** Waits until STATE has taken over everything up to here, or rejects with `unavailable`. A connection that stands at n and is given something new needs it as of n or later. */
  readonly atLeast?: number
  /** Called once, before the first page: how many changes will come, give or take those that happen meanwhile. */
  readonly start?: (count: number) => void
  /** Pages of at most `pageMessages` in sequence order over the whole read; the next one waits until the promise is done. */
  readonly page: (messages: ReadonlyArray<LogMessage>) => void | Promise<void>
  /** Default 1,000. */
  readonly pageMessages?: number
  /** Ends the read with `aborted`. */
  readonly signal?: AbortSignal
}

export interface StateRead {
  /**
   * The newest version of everything that matches, up to here, was given, but for what changed again since: that comes after it, so go on
   * from here + 1. It is what STATE held when asked, or `after` where that is more. The same holds for the last message of each page.
   */
  readonly position: number
  readonly count: number
}

export interface History {
  /** Of which entity. Null scope: wherever it was (costs a scan of the stream's subjects). */
  readonly entity: string
  readonly id: string
  readonly scope: string | null
  /** Only versions before this sequence, for paging back. */
  readonly before?: number
  /** At most this many, the newest of them. Default 1,000. */
  readonly limit?: number
}

export interface Head {
  /** The first and last sequence of CHANGES; last 0 where nothing was ever published. */
  readonly first: number
  readonly last: number
  /** The last sequence STATE has taken over. */
  readonly state: number
  /** Milliseconds since 1970 of the last message, or null. */
  readonly lastAt: number | null
  /** ISO 8601: when CHANGES was made. Another time is another stream. */
  readonly created: string
}

export interface Log {
  /** Follows CHANGES. Resolves when the reader is set up; rejects with `trimmed` where `from` is no longer held and `ahead` where it lies more than one beyond the end. */
  readonly follow: (follow: Follow) => Promise<Following>
  /** Reads STATE. */
  readonly readState: (read: ReadState) => Promise<StateRead>
  /** The newest message of each of these addresses (tombstones too) that STATE holds, in sequence order. At most 1,000 addresses. */
  readonly latest: (addresses: ReadonlyArray<Address>) => Promise<ReadonlyArray<LogMessage>>
  /** Versions of one entity that CHANGES still holds, oldest first. */
  readonly history: (history: History) => Promise<ReadonlyArray<LogMessage>>
  readonly head: () => Promise<Head>
  /** The first sequence of CHANGES stored at or after the time; one beyond the end where there is none. */
  readonly since: (time: Date) => Promise<number>
  /** Every epoch, oldest first; the last one is in force. Empty before the relay's first start. */
  readonly epochs: () => Promise<ReadonlyArray<Epoch>>
}

export class LogError extends Schema.TaggedError<LogError>()("LogError", {
  /**
   * unavailable: the server or the stream's leader is away; ask again. missing: there is no such stream. trimmed: older than what is
   * held. ahead: beyond the end of the stream: a position of a lost history. aborted: the caller's signal.
   */
  reason: Schema.Literals(["unavailable", "missing", "trimmed", "ahead", "aborted"]),
  message: Schema.String,
  hint: Schema.String,
}) {}
