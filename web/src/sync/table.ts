/**
 * One RxDB collection as a map in memory that is always at hand, fed by the collection's own change stream: own writes, and other tabs'.
 *
 * Writes go to the storage in bulk (a thousand documents in one IndexedDB transaction; one by one it would be ten times slower), and
 * one after the other, each over the revision it knows. Where another tab was faster the storage says so and shows what it has; the
 * caller's `newer` decides whose stays.
 */
import { normalizeMangoQuery, prepareQuery } from "rxdb/plugins/core"
import type { BulkWriteRow, RxCollection, RxDocumentData } from "rxdb/plugins/core"

export interface Keyed {
  readonly key: string
}

export interface Table<T extends Keyed> {
  readonly map: ReadonlyMap<string, T>
  /** Resolves when durable. */
  readonly write: (puts: ReadonlyArray<T>, deletes: ReadonlyArray<string>) => Promise<void>
  readonly refresh: () => Promise<void>
  readonly scrub: () => Promise<void>
  /** Resolves when what was written is durable. */
  readonly close: () => Promise<void>
}

export interface TableOptions<T extends Keyed> {
  readonly collection: RxCollection<T>
  /** Whether own writes show in the map at once, not only when they are durable. */
  readonly eager: boolean
  /** Whether `mine` may replace what another tab wrote meanwhile. */
  readonly newer: (mine: T, theirs: T) => boolean
  readonly onChange: (keys: ReadonlyArray<string>) => void
}

/** How often a write is tried again over a newer revision before it fails: tabs take turns, so two is already rare. */
const ROUNDS = 8
let tables = 0

export const openTable = async <T extends Keyed>(options: TableOptions<T>): Promise<Table<T>> => {
  const { collection, eager, newer, onChange } = options
  const storage = collection.storageInstance
  const own = `tideline-${collection.database.token}-${tables++}`
  const map = new Map<string, T>()
  /** What the storage has, with its revision. */
  const raw = new Map<string, RxDocumentData<T>>()

  /** Keys that changed while everything is read: what was read of them may be older. */
  let touched: Set<string> | null = null

  const load = async (): Promise<void> => {
    const during = new Set<string>()
    touched = during
    const query = prepareQuery(storage.schema, normalizeMangoQuery(storage.schema, { selector: { _deleted: { $eq: false } }, sort: [{ key: "asc" }] } as never))
    const { documents } = await storage.query(query as never)
    touched = null
    for (const key of raw.keys()) if (!during.has(key)) raw.delete(key)
    for (const document of documents) if (!during.has(document.key)) raw.set(document.key, document)
  }

  const changes = storage.changeStream().subscribe((bulk) => {
    const mine = bulk.context === own
    const keys: Array<string> = []
    for (const event of bulk.events) {
      const document = event.documentData as RxDocumentData<T>
      const known = raw.get(document.key)
      // Another tab's news may arrive after what this tab wrote over it.
      if (!mine && known !== undefined && known._meta.lwt > document._meta.lwt) continue
      touched?.add(document.key)
      if (document._deleted) raw.delete(document.key)
      else raw.set(document.key, document)
      if (mine && eager) continue
      if (document._deleted) map.delete(document.key)
      else map.set(document.key, document as T)
      keys.push(document.key)
    }
    if (keys.length > 0) onChange(keys)
  })

  const row = (value: T): BulkWriteRow<T> => {
    const previous = raw.get(value.key)
    const document = { ...value, _deleted: false, _attachments: {}, _meta: { lwt: 1 }, _rev: "" }
    return (previous === undefined ? { document } : { document, previous }) as BulkWriteRow<T>
  }
  const deletion = (previous: RxDocumentData<T>): BulkWriteRow<T> =>
    // Only the key stays until the next scrub: what one may not see any more must not lie on the disk.
    ({ document: { key: previous.key, _deleted: true, _attachments: {}, _meta: { lwt: 1 }, _rev: "" }, previous }) as unknown as BulkWriteRow<T>

  const persist = async (puts: ReadonlyArray<T>, deletes: ReadonlyArray<string>): Promise<void> => {
    let values = puts
    let gone = deletes
    for (let round = 0; values.length + gone.length > 0; round++) {
      if (round === ROUNDS) throw new Error("the device's storage keeps changing under this write")
      const rows = values.map(row)
      for (const key of gone) {
        const previous = raw.get(key)
        if (previous !== undefined) rows.push(deletion(previous))
      }
      if (rows.length === 0) return
      const { error } = await storage.bulkWrite(rows, own)
      const again = new Set<string>()
      for (const failure of error) {
        if (failure.status !== 409) throw new Error(`the device's storage refused a write (${failure.status})`)
        const theirs = (failure as { readonly documentInDb: RxDocumentData<T> }).documentInDb
        if (theirs._deleted) raw.delete(theirs.key)
        else raw.set(theirs.key, theirs)
        again.add(failure.documentId)
      }
      const lost: Array<string> = []
      values = values.filter((value) => {
        const theirs = raw.get(value.key)
        if (!again.has(value.key) || theirs === undefined || newer(value, theirs as T)) return again.has(value.key)
        map.set(value.key, theirs as T)
        lost.push(value.key)
        return false
      })
      gone = gone.filter((key) => again.has(key))
      if (lost.length > 0) onChange(lost)
    }
  }

  let queue: Promise<unknown> = Promise.resolve()
  const write = (puts: ReadonlyArray<T>, deletes: ReadonlyArray<string>): Promise<void> => {
    if (eager) {
      for (const key of deletes) map.delete(key)
      for (const value of puts) map.set(value.key, value)
      onChange([...deletes, ...puts.map((value) => value.key)])
    }
    const done = queue.then(() => persist(puts, deletes))
    queue = done.catch(() => {})
    return done
  }

  await load()
  for (const [key, value] of raw) map.set(key, value as T)

  return {
    map,
    write,
    refresh: async () => {
      await queue
      const before = new Map(map)
      await load()
      const keys: Array<string> = []
      for (const [key, value] of raw) {
        if (map.get(key) === value) continue
        map.set(key, value as T)
        keys.push(key)
      }
      for (const key of before.keys()) {
        if (raw.has(key)) continue
        map.delete(key)
        keys.push(key)
      }
      onChange(keys)
    },
    scrub: async () => {
      await queue
      await storage.cleanup(0)
    },
    close: async () => {
      await queue
      changes.unsubscribe()
    },
  }
}
