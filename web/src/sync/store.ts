/**
 * What a replica keeps on the device, and the contract of who keeps it. From here documents go to `data/view.ts` and so to the screen.
 *
 * Who is authoritative: the server for documents, this device for edits until the server has answered them. The cursor is a claim
 * about the documents ("I hold everything in this view as of then"), so it is written after the documents it speaks for, and before
 * documents are dropped. A crash between the two writes only makes the client be told again what it knows.
 */
export type Row = Readonly<Record<string, unknown>>

/** One entity as the server last told it. */
export interface StoredDoc {
  /** `documentKey(entity, id)`. */
  readonly key: string
  readonly entity: string
  readonly id: string
  readonly scope: string | null
  /** The stream sequence of its newest change. What is not newer is ignored. */
  readonly version: number
  /** Null: deleted. Such a document is kept only while something older than the deletion may still come. */
  readonly data: Row | null
  /** The user id of who changed it last, where the writer said so. */
  readonly by: string | null
  /** ISO 8601. */
  readonly at: string
}

export type EditOp = "create" | "update" | "delete"
/**
 * waiting: not answered yet. applied: the server did it, its echo has not come yet. The others wait for a person: conflict
 * (see `current`), denied, invalid (see `message`).
 */
export type EditState = "waiting" | "applied" | "conflict" | "denied" | "invalid"

/** A change somebody made here. It shows over the document until its echo comes. */
export interface StoredEdit {
  /** Grows with time: the order of a person's edits. */
  readonly id: string
  /** What the server knows it by. Another one after a retry, since the server answers a repeated id from memory. */
  readonly mutationId: string
  readonly entity: string
  readonly entityId: string
  readonly scope: string | null
  readonly op: EditOp
  /** The values the person saw of the fields in `data`. */
  readonly base: Row
  readonly data: Row
  readonly state: EditState
  /** Milliseconds since 1970. */
  readonly at: number
  readonly appliedAt: number | null
  /** conflict: the row as it is at the server, null where it is gone. */
  readonly current: Row | null
  readonly message: string | null
}

/** Unsent text of a field somebody is typing in. */
export interface Draft {
  /** `draftKey(entity, id, field)`. */
  readonly key: string
  readonly entity: string
  readonly entityId: string
  readonly scope: string | null
  readonly field: string
  readonly value: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** Where the documents stand. `cursor` null: what is held is described by nothing, and must be dropped before a join. */
export interface Held {
  readonly position: number
  readonly cursor: string | null
}
export const NOTHING_HELD: Held = { position: 0, cursor: null }

export const documentKey = (entity: string, id: string): string => `${entity}|${id}`
export const draftKey = (entity: string, id: string, field: string): string => `${entity}|${id}|${field}`

/** Document keys, edit ids and draft keys whose value in the maps is another one now. */
export interface StoreChange {
  readonly docs: ReadonlyArray<string>
  readonly edits: ReadonlyArray<string>
  readonly drafts: ReadonlyArray<string>
}

/**
 * Keeps it all. The maps are in memory and always at hand; other tabs' writes show in them too. Documents change in the maps once
 * they are durable; edits and drafts at once, since a person looks at them, and become durable behind.
 */
export interface Store {
  readonly docs: ReadonlyMap<string, StoredDoc>
  readonly edits: ReadonlyMap<string, StoredEdit>
  readonly drafts: ReadonlyMap<string, Draft>
  /** Called after every change of the maps. Returns what ends it. */
  readonly listen: (listener: (change: StoreChange) => void) => () => void
  /** Durable once resolved. Fails where the device refuses (quota, private mode). */
  readonly writeDocs: (puts: ReadonlyArray<StoredDoc>, deletes: ReadonlyArray<string>) => Promise<void>
  readonly writeEdits: (puts: ReadonlyArray<StoredEdit>, deletes: ReadonlyArray<string>) => Promise<void>
  readonly writeDrafts: (puts: ReadonlyArray<Draft>, deletes: ReadonlyArray<string>) => Promise<void>
  /** As durable: another tab may have led until now. */
  readonly readHeld: () => Promise<Held>
  readonly writeHeld: (held: Held) => Promise<void>
  /** Brings the maps level with what is durable: what a tab does before it leads. */
  readonly refresh: () => Promise<void>
  /** Takes deleted documents off the disk for good. */
  readonly scrub: () => Promise<void>
  readonly close: () => Promise<void>
  /** Closes, and leaves nothing on the device. */
  readonly destroy: () => Promise<void>
}
