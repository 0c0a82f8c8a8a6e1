/**
 * The store (store.ts) in RxDB: on IndexedDB in a browser, in memory in tests. One database a person, so that two on one browser never mix;
 * two collections whatever the number of entity types, since RxDB's open core allows thirteen in all.
 */
import { createRxDatabase } from "rxdb/plugins/core"
import type { HashFunction, RxJsonSchema, RxStorage } from "rxdb/plugins/core"
import type { Draft, Held, Store, StoreChange, StoredDoc, StoredEdit } from "./store.ts"
import { NOTHING_HELD } from "./store.ts"
import type { Keyed } from "./table.ts"
import { openTable } from "./table.ts"

/** Everything that is this device's own: an edit, a draft, or where the documents stand. */
interface Local extends Keyed {
  readonly value: StoredEdit | Draft | Held
}
const HELD = "held"
const EDIT = "edit|"
const DRAFT = "draft|"

/** Characters of an entity code and an id, and of a draft's field and prefix. */
const KEY_CHARS = 1_300

const schemaOf = <T extends Keyed>(fields: ReadonlyArray<Exclude<keyof T & string, "key">>): RxJsonSchema<T> =>
  ({
    version: 0,
    primaryKey: "key",
    type: "object",
    properties: { key: { type: "string", maxLength: KEY_CHARS }, ...Object.fromEntries(fields.map((field) => [field, {}])) },
    required: ["key"],
  }) as unknown as RxJsonSchema<T>

const documents = schemaOf<StoredDoc>(["entity", "id", "scope", "version", "data", "by", "at"])
const local = schemaOf<Local>(["value"])

export interface RxStoreOptions {
  /** Of the database: one a person. Any text. */
  readonly name: string
  readonly storage: RxStorage<unknown, unknown>
  /** Whether other tabs may have it open too. */
  readonly shared: boolean
}

/** The database's name: RxDB and the disk may not take everything that a user id may hold. */
export const databaseName = (name: string): string => `tideline-${encodeURIComponent(name).replaceAll("%", "_").toLowerCase()}-${name.length}`

/** Names of schemas are hashed: equal or not is all that matters of it. (RxDB's own needs a secure context.) */
const fnv: HashFunction = async (input) => {
  const text = String(input)
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16)
}

/** Opens it, and reads all of it into memory. Fails where the device allows no storage. */
export const openRxStore = async ({ name, storage, shared }: RxStoreOptions): Promise<Store> => {
  const database = await createRxDatabase({
    name: databaseName(name),
    storage,
    multiInstance: shared,
    closeDuplicates: true,
    eventReduce: false,
    hashFunction: fnv,
  })
  const collections = await database.addCollections({ documents: { schema: documents }, local: { schema: local } })
  const listeners = new Set<(change: StoreChange) => void>()
  const tell = (change: Partial<StoreChange>): void => {
    for (const listener of listeners) listener({ docs: [], edits: [], drafts: [], ...change })
  }
  const edits = new Map<string, StoredEdit>()
  const drafts = new Map<string, Draft>()

  const docTable = await openTable<StoredDoc>({
    collection: collections.documents as never,
    eager: false,
    newer: (mine, theirs) => mine.version > theirs.version,
    onChange: (docs) => tell({ docs }),
  })
  const localTable = await openTable<Local>({
    collection: collections.local as never,
    eager: true,
    newer: () => true,
    onChange: (keys) => tell(sort(keys)),
  })

  /** Brings the maps of edits and drafts level with the local rows of these keys. */
  const sort = (keys: Iterable<string>): Pick<StoreChange, "edits" | "drafts"> => {
    const changed = { edits: [] as Array<string>, drafts: [] as Array<string> }
    const level = <T>(map: Map<string, T>, id: string, key: string, into: Array<string>): void => {
      const row = localTable.map.get(key)
      if (row === undefined) map.delete(id)
      else map.set(id, row.value as T)
      into.push(id)
    }
    for (const key of keys) {
      if (key.startsWith(EDIT)) level(edits, key.slice(EDIT.length), key, changed.edits)
      else if (key.startsWith(DRAFT)) level(drafts, key.slice(DRAFT.length), key, changed.drafts)
    }
    return changed
  }
  sort(localTable.map.keys())

  const close = async (): Promise<void> => {
    listeners.clear()
    await Promise.all([docTable.close(), localTable.close()])
  }
  const keys = (prefix: string, ids: ReadonlyArray<string>): ReadonlyArray<string> => ids.map((id) => prefix + id)

  return {
    docs: docTable.map,
    edits,
    drafts,
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    writeDocs: docTable.write,
    writeEdits: (puts, deletes) => localTable.write(puts.map((edit) => ({ key: EDIT + edit.id, value: edit })), keys(EDIT, deletes)),
    writeDrafts: (puts, deletes) => localTable.write(puts.map((draft) => ({ key: DRAFT + draft.key, value: draft })), keys(DRAFT, deletes)),
    readHeld: async () => {
      const [found] = await collections.local.storageInstance.findDocumentsById([HELD], false)
      return ((found as Local | undefined)?.value as Held | undefined) ?? NOTHING_HELD
    },
    writeHeld: (held) => localTable.write([{ key: HELD, value: held }], []),
    refresh: async () => void (await Promise.all([docTable.refresh(), localTable.refresh()])),
    scrub: async () => void (await Promise.all([docTable.scrub(), localTable.scrub()])),
    close: async () => {
      await close()
      await database.close()
    },
    destroy: async () => {
      await close()
      await database.remove()
    },
  }
}
