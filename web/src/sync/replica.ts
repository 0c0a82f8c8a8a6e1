/** What `createReplica` (client.ts) gives: one person's live replica, in a browser tab or headless. */
import type { BehaviorSubject } from "rxjs"
import type { Subscription } from "#protocol/up.ts"
import type { Status } from "./status.ts"
import type { EditOp, Row, Store, StoredDoc } from "./store.ts"

/** A wish to change one entity. `base`: what the person saw of the fields in `data`; left out, it is what this replica shows now. */
export interface EditRequest {
  readonly entity: string
  readonly entityId: string
  readonly scope: string | null
  readonly op: EditOp
  readonly data: Row
  readonly base?: Row
}

/** mine: over what is there now. theirs: drop the edit. merged: these values, over what is there now. */
export type Resolution = "mine" | "theirs" | { readonly merged: Row }

/** Type, or some scopes or ids of it. */
export type Wanted = typeof Subscription.Type

export interface Replica {
  readonly user: string
  readonly store: Store
  /** What the server last told, without own edits; deleted ones left out. Keys as `documentKey` makes them. */
  readonly documents: () => ReadonlyMap<string, StoredDoc>
  /** The stream sequence the documents stand at, as far as they are durable. */
  readonly position: () => number
  readonly status$: BehaviorSubject<Status>
  /** Shows at once, is sent as soon as there is somebody to send it to, and survives a closed browser. Returns the edit's id. */
  readonly edit: (request: EditRequest) => string
  /** Sends a denied, invalid or clashing edit again, as it is. */
  readonly retry: (editId: string) => void
  /** Takes an edit back that the server has not applied. */
  readonly discard: (editId: string) => void
  /** Settles a conflict. */
  readonly resolve: (editId: string, how: Resolution) => void
  /** Holds what is wanted until released. Several may want the same. */
  readonly subscribe: (wanted: ReadonlyArray<Wanted>) => () => void
  /** A person signed in again, or the token was renewed. */
  readonly setToken: (token: string) => void
  /** Does not wait for the back-off: a person asked, or the page came back to the front. */
  readonly hurry: () => void
  /** Resolves at the next moment at which the status is live and no edit waits for an answer or its echo. */
  readonly settled: () => Promise<void>
  /** Stops; the data stays. */
  readonly close: () => Promise<void>
  /** Stops, and leaves nothing on the device. */
  readonly forget: () => Promise<void>
}
