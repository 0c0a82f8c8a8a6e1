/** The store (store.ts) without a disk: for headless replicas by the thousand, and as the simplest statement of the contract. */
import type { Draft, Held, Store, StoreChange, StoredDoc, StoredEdit } from "./store.ts"
import { NOTHING_HELD } from "./store.ts"

export const createMemoryStore = (): Store => {
  const docs = new Map<string, StoredDoc>()
  const edits = new Map<string, StoredEdit>()
  const drafts = new Map<string, Draft>()
  const listeners = new Set<(change: StoreChange) => void>()
  let held = NOTHING_HELD

  const write = <T>(map: Map<string, T>, keyOf: (value: T) => string, kind: keyof StoreChange) =>
    async (puts: ReadonlyArray<T>, deletes: ReadonlyArray<string>): Promise<void> => {
      for (const key of deletes) map.delete(key)
      for (const value of puts) map.set(keyOf(value), value)
      const change = { docs: [], edits: [], drafts: [], [kind]: [...deletes, ...puts.map(keyOf)] }
      for (const listener of listeners) listener(change)
    }

  return {
    docs,
    edits,
    drafts,
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    writeDocs: write(docs, (doc) => doc.key, "docs"),
    writeEdits: write(edits, (edit) => edit.id, "edits"),
    writeDrafts: write(drafts, (draft) => draft.key, "drafts"),
    readHeld: async () => held,
    writeHeld: async (next: Held) => {
      held = next
    },
    refresh: async () => {},
    scrub: async () => {},
    close: async () => listeners.clear(),
    destroy: async () => {
      for (const map of [docs, edits, drafts]) map.clear()
      held = NOTHING_HELD
      listeners.clear()
    },
  }
}
