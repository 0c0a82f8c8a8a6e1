/** What a component sees of one entity. */
import type { EditOp, Row } from "../sync/store.ts"
import type { Entities, EntityCode } from "./entities.ts"

/** An own edit that shows in the row and is not settled yet. */
export interface DocEdit {
  readonly id: string
  /** waiting: nobody to send it to yet. sending: on its way. conflict, denied, invalid: a person must settle it (stores/sync.ts: resolve, retry, discard). */
  readonly state: "waiting" | "sending" | "conflict" | "denied" | "invalid"
  readonly op: EditOp
  /** What the person saw of the fields they changed. */
  readonly base: Row
  /** What they made of them. */
  readonly data: Row
  /** conflict: the row at the server as it is; null: it is gone. */
  readonly current: Row | null
  readonly message: string | null
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface Doc<E extends EntityCode = EntityCode> {
  readonly id: string
  readonly scope: string | null
  /** Stream sequence of the newest change from the server; 0 while it exists here only. */
  readonly version: number
  /** Who changed it last, and when (ISO 8601). Own unsent edits count. */
  readonly by: string | null
  readonly at: string
  /** With own edits laid over it. A row just made here has only the columns it was made with. */
  readonly row: Entities[E]
  /** The edit that most needs looking at, or null where all is saved. */
  readonly edit: DocEdit | null
  /** Set when a change by somebody else came in while live: glow once while `Date.now() - at` is small. `at`: milliseconds since 1970, when it came. */
  readonly changedByOther: { readonly by: string | null; readonly at: number } | null
}
