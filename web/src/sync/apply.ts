/**
 * Accepted frames become durable documents: from session.ts (`apply` effects), into store.ts.
 *
 * Promise: frames are applied in their order, each once; documents are durable before the cursor that speaks of them, and the cursor that no longer
 * speaks of them before documents are dropped. Frames that come while a write is under way are written together: one at a time
 * the device would manage a thousand changes a second, together ten thousand.
 */
import type { Change } from "#protocol/down.ts"
import type { Applied } from "./session.ts"
import type { Held, Store, StoredDoc, StoredEdit } from "./store.ts"
import { documentKey, NOTHING_HELD } from "./store.ts"
import type { News } from "./losses.ts"
import { createLosses, orphans } from "./losses.ts"

export interface Accepted {
  readonly frame: Applied
  readonly held: Held
  /**
   * A transaction in several frames is kept until its last, so that it shows whole. Where the connection ends in between, the
   * next one brings the rest.
   */
  readonly whole: boolean
  readonly letGo: boolean
  /** What is missing once this is applied is missing for good: the frame is a LIVE that answers everything asked. */
  readonly settles: boolean
}

export interface Applier {
  readonly push: (accepted: Accepted) => void
  /** Drops every document, after what was pushed before. */
  readonly forget: () => void
  /** While live: an edit or a draft was written, perhaps by a tab that does not know yet that its entity is gone. */
  readonly look: () => void
  /** Resolves when nothing is under way. */
  readonly idle: () => Promise<void>
}

export interface ApplierOptions {
  readonly store: Store
  /** `held` is durable now; `live`: up to and with a LIVE frame. */
  readonly onApplied: (held: Held, live: boolean) => void
  /** Whether all of an address is subscribed to. */
  readonly isAsked: (entity: string, id: string, scope: string | null) => boolean
  readonly onNews: (news: News) => void
  /** The device refused. What was pushed and not applied is dropped; the position durable is the one last told. */
  readonly onFailed: (reason: string) => void
  /** Milliseconds since 1970. */
  readonly now: () => number
}

type Moving = Extract<Applied, { readonly type: "CHANGES" | "LIVE" | "HEARTBEAT" }>
type AcceptedMoving = Accepted & { readonly frame: Moving }
type Item = Accepted | "forget" | "look"

/** Changes in one write: what IndexedDB takes in about a fifth of a second on a small device. */
const WRITE_CHANGES = 2_000
/** Changes of one transaction that are kept for its end; a larger one shows in parts. */
const WHOLE_CHANGES = 10_000
/** Milliseconds after which an applied edit no longer waits for its echo, once the stream is known to be past it. */
export const ECHO_MS = 5_000
/**
 * The same for one that created what has not come yet: its document is nowhere else, and a relay that is down for a while must not take it off the
 * screen. Longer than that, it was created and deleted while this replica started over.
 */
export const CREATED_MS = 600_000

export const createApplier = ({ store, onApplied, isAsked, onNews, onFailed, now }: ApplierOptions): Applier => {
  const losses = createLosses({ store, isAsked, onNews })
  let queue: Array<Item> = []
  let running: Promise<void> | null = null
  /** Deletions kept because the position has not reached them. */
  const tombstones = new Set([...store.docs.values()].filter((doc) => doc.data === null).map((doc) => doc.key))

  /** What does not move but takes away. */
  const takeAway = async (item: Exclude<Item, AcceptedMoving | "look">): Promise<void> => {
    if (item === "forget") return startOver(() => true, NOTHING_HELD)
    const { frame, held, letGo } = item
    if (frame.type === "RESET") {
      const { entityCode } = frame.payload as { readonly entityCode?: string }
      return startOver((doc) => entityCode === undefined || doc.entity === entityCode, held)
    }
    const payload = frame.payload as Lost
    const docs = [...store.docs.values()].filter((doc) => names(payload, doc.entity, doc.id, doc.scope))
    await store.writeHeld(held)
    if (!letGo) {
      const keys = new Set(docs.map((doc) => doc.key))
      await losses.revoked(docs, ({ entity, entityId, scope }) => names(payload, entity, entityId, scope) || keys.has(documentKey(entity, entityId)))
    }
    await drop(docs)
    onApplied(held, false)
  }

  const startOver = async (of: (doc: StoredDoc) => boolean, held: Held): Promise<void> => {
    const docs = [...store.docs.values()].filter(of)
    await store.writeHeld(held)
    losses.reset(docs)
    await drop(docs)
    onApplied(held, false)
  }

  const drop = async (docs: ReadonlyArray<StoredDoc>): Promise<void> => {
    if (docs.length === 0) return
    await store.writeDocs([], docs.map((doc) => doc.key))
    for (const doc of docs) tombstones.delete(doc.key)
    await store.scrub()
  }

  const move = async (accepted: ReadonlyArray<AcceptedMoving>): Promise<void> => {
    const { held } = accepted.at(-1)!
    const frames = accepted.map((item) => item.frame)
    const changes = frames.flatMap((frame) => (frame.type === "CHANGES" ? frame.payload.changes : []))
    const live = frames.some((frame) => frame.type === "LIVE")
    // During a catch-up what is older may come after what is newer.
    const complete = live || accepted.every((item) => item.whole)
    const { puts, deletes } = plan(changes, store.docs, complete ? held.position : -1)
    if (complete) {
      for (const key of tombstones) {
        const doc = store.docs.get(key)
        if (puts.has(key) || doc?.data !== null) tombstones.delete(key)
        else if (doc.version <= held.position) {
          tombstones.delete(key)
          deletes.add(key)
        }
      }
    }
    for (const doc of puts.values()) if (doc.data === null) tombstones.add(doc.key)
    losses.deleted([...puts.values()].flatMap((doc) => (doc.data === null ? known(doc.key) : [])).concat([...deletes].flatMap(known)))
    losses.given(stateKeys(accepted, puts, store))
    if (puts.size + deletes.size > 0) await store.writeDocs([...puts.values()], [...deletes])
    const knownUntil = live || accepted.some((item) => item.whole && item.frame.type === "HEARTBEAT") ? now() : null
    const settled = settledEdits(store.edits.values(), changes, knownUntil, store.docs)
    if (settled.length > 0) await store.writeEdits([], settled)
    await store.writeHeld(held)
    // While live a deletion is certain too: nothing older can come.
    const certain = accepted.some((item) => item.settles)
    if (certain || (complete && deletes.size > 0)) await losses.settle(certain)
    onApplied(held, live)
  }
  const known = (key: string): ReadonlyArray<StoredDoc> => {
    const doc = store.docs.get(key)
    return doc === undefined ? [] : [doc]
  }

  const run = async (): Promise<void> => {
    while (queue.length > 0) {
      const first = queue[0]!
      if (first === "look") {
        // First off the queue: what is written from here on asks for another look.
        queue.shift()
        await losses.settle(false)
        continue
      }
      if (!isMoving(first)) {
        await takeAway(first)
        queue.shift()
        continue
      }
      let taken = 0
      let count = 0
      let end = 0
      for (const item of queue) {
        if (!isMoving(item) || (taken > 0 && end > 0 && count >= WRITE_CHANGES)) break
        taken++
        if (item.frame.type === "CHANGES") count += item.frame.payload.changes.length
        // A transaction ends here, or need not be whole.
        if (item.frame.type !== "CHANGES" || item.frame.payload.more !== true || !item.whole) end = taken
      }
      if (end === 0) {
        if (taken === queue.length && count < WHOLE_CHANGES) return
        end = taken
      }
      await move(queue.slice(0, end) as Array<AcceptedMoving>)
      queue.splice(0, end)
    }
  }

  const drain = (): void => {
    if (running !== null) return
    running = run()
      .catch((error: unknown) => {
        queue = []
        onFailed(error instanceof Error ? error.message : String(error))
      })
      .finally(() => {
        running = null
        // What came between the last look at the queue and here.
        if (queue.length > 0 && !waitsForMore(queue)) drain()
      })
  }

  return {
    push: (accepted) => {
      queue.push(accepted)
      drain()
    },
    forget: () => {
      queue.push("forget")
      drain()
    },
    look: () => {
      const { edits, drafts } = orphans(store, [...store.edits.values()], [...store.drafts.values()], NONE)
      if (edits.length + drafts.length === 0 || queue.includes("look")) return
      queue.push("look")
      drain()
    },
    idle: async () => {
      while (running !== null) await running
    },
  }
}

const NONE: ReadonlySet<string> = new Set()

const isMoving = (item: Item): item is AcceptedMoving =>
  item !== "forget" && item !== "look" && item.frame.type !== "RESET" && item.frame.type !== "ACCESS_REVOKED"

const waitsForMore = (queue: ReadonlyArray<Item>): boolean =>
  queue.every((item) => isMoving(item) && item.whole && item.frame.type === "CHANGES" && item.frame.payload.more === true)

/** What changes leave of the documents. The newest version wins, whatever their order. A deletion up to `position` needs no trace: nothing older can come. */
export const plan = (
  changes: ReadonlyArray<Change>,
  docs: ReadonlyMap<string, StoredDoc>,
  position: number,
): { readonly puts: Map<string, StoredDoc>; readonly deletes: Set<string> } => {
  const newest = new Map<string, Change>()
  for (const change of changes) {
    const key = documentKey(change.entityCode, change.entityId)
    const known = newest.get(key)?.version ?? docs.get(key)?.version ?? -1
    if (change.version > known) newest.set(key, change)
  }
  const puts = new Map<string, StoredDoc>()
  const deletes = new Set<string>()
  for (const [key, { entityCode: entity, entityId: id, scope, version, data, by, timestamp: at, operation }] of newest) {
    const gone = operation === "DELETE"
    if (!gone || version > position) puts.set(key, { key, entity, id, scope, version, data: gone ? null : data, by, at })
    else if (docs.has(key)) deletes.add(key)
  }
  return { puts, deletes }
}

/** The keys of documents that came as state beside the flow, and were not there before. What was created here, in a scope that opened with it, is not news. */
const stateKeys = (accepted: ReadonlyArray<AcceptedMoving>, puts: ReadonlyMap<string, StoredDoc>, { docs, edits }: Pick<Store, "docs" | "edits">): ReadonlyArray<string> => {
  const own = new Set<string>()
  for (const edit of edits.values()) if (edit.op === "create") own.add(documentKey(edit.entity, edit.entityId))
  return accepted.flatMap(({ frame }) => {
    if (frame.type !== "CHANGES" || frame.payload.from !== frame.payload.to) return []
    return frame.payload.changes.map((change) => documentKey(change.entityCode, change.entityId)).filter((key) => puts.has(key) && !docs.has(key) && !own.has(key))
  })
}

/** The ids of edits whose echo is among `changes`, and, where `caughtUpAt` says that the stream is known up to then, of those applied well before. */
export const settledEdits = (
  edits: Iterable<StoredEdit>,
  changes: ReadonlyArray<Change>,
  caughtUpAt: number | null,
  docs: ReadonlyMap<string, unknown>,
): ReadonlyArray<string> => {
  const echoes = new Set<string>()
  for (const change of changes) if (change.mutationId !== undefined) echoes.add(change.mutationId)
  if (echoes.size === 0 && caughtUpAt === null) return []
  const settled: Array<string> = []
  for (const edit of edits) {
    const patience = edit.op === "create" && !docs.has(documentKey(edit.entity, edit.entityId)) ? CREATED_MS : ECHO_MS
    const late = caughtUpAt !== null && edit.state === "applied" && edit.appliedAt !== null && caughtUpAt - edit.appliedAt >= patience
    if (late || echoes.has(edit.mutationId)) settled.push(edit.id)
  }
  return settled
}

/** The payload of ACCESS_REVOKED. */
interface Lost {
  readonly entityCode: string
  readonly entityId?: string
  readonly scope?: string
}

const names = (lost: Lost, entity: string, id: string, scope: string | null): boolean =>
  entity === lost.entityCode && (lost.entityId === undefined || lost.entityId === id) && (lost.scope === undefined || lost.scope === scope)
