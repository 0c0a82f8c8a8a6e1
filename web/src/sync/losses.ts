/**
 * What a replica forgets beside documents, and what is told of it: between apply.ts, which takes documents away, and whoever has words for
 * people (`onNews`).
 *
 * The rule: once live, nothing on the device speaks of an entity that is not there. A draft, and an edit of what exists, need their document, or
 * the edit that creates it. Whatever took the document away (ACCESS_REVOKED, a DELETE, which may be a move out of sight, a RESET after which it did
 * not come again, a crash in the middle of one of these, another tab that was still typing), the rule is looked at when LIVE says that nothing is
 * missing any more. So it needs no memory of its own on the disk.
 *
 * ACCESS_REVOKED is coarse: one grant less may be told as all of a type, and what is left of it is given again. Its edits and drafts leave the device
 * at once all the same. They are kept in memory until LIVE, and those whose document came again are put back.
 */
import type { Draft, Store, StoredDoc, StoredEdit } from "./store.ts"
import { documentKey } from "./store.ts"

/** What a person may want to hear of, once it is certain. Own work first: whatever was removed of it is said. */
export interface News {
  /** Taken away by ACCESS_REVOKED. */
  readonly lost: ReadonlyArray<StoredDoc>
  /** Deleted, or moved out of sight, or not given again after a RESET: nobody can tell which. */
  readonly gone: ReadonlyArray<StoredDoc>
  /** Given beside the flow: it was there before, and may be seen only now. */
  readonly gained: ReadonlyArray<StoredDoc>
  /** Removed, unanswered. */
  readonly edits: ReadonlyArray<StoredEdit>
  readonly drafts: ReadonlyArray<Draft>
}

export interface Losses {
  /** Documents leave by ACCESS_REVOKED, and with them what `concerns` picks of the edits and drafts. */
  readonly revoked: (docs: ReadonlyArray<StoredDoc>, concerns: (one: StoredEdit | Draft) => boolean) => Promise<void>
  /** Documents leave by a DELETE. Their edits and drafts are looked at when live. */
  readonly deleted: (docs: ReadonlyArray<StoredDoc>) => void
  /** Documents leave by a RESET: most of them come again. */
  readonly reset: (docs: ReadonlyArray<StoredDoc>) => void
  /** Keys that came as state, not as news. */
  readonly given: (keys: Iterable<string>) => void
  /** `certain`: what is missing now is missing for good. Otherwise only where nothing was taken away that may come again. */
  readonly settle: (certain: boolean) => Promise<void>
}

export interface LossesOptions {
  readonly store: Store
  /** Whether all of an address is subscribed to: then its absence means something. */
  readonly isAsked: (entity: string, id: string, scope: string | null) => boolean
  readonly onNews: (news: News) => void
}

export const createLosses = ({ store, isAsked, onNews }: LossesOptions): Losses => {
  const lost = new Map<string, StoredDoc>()
  const missing = new Map<string, StoredDoc>()
  const given = new Set<string>()
  /** Scopes that were seen and may not be any more: the wait for LIVE tells. */
  const closed = new Set<string>()
  let waiting = false
  /** Deleted since the storage was tidied. */
  let untidy = false
  let withheld: { edits: ReadonlyArray<StoredEdit>; drafts: ReadonlyArray<Draft> } = { edits: [], drafts: [] }

  const miss = (doc: StoredDoc): void => {
    if (doc.data !== null && !lost.has(doc.key)) missing.set(doc.key, doc)
  }
  const remove = async (edits: ReadonlyArray<StoredEdit>, drafts: ReadonlyArray<Draft>): Promise<void> => {
    if (edits.length > 0) await store.writeEdits([], edits.map((edit) => edit.id))
    if (drafts.length > 0) await store.writeDrafts([], drafts.map((draft) => draft.key))
  }

  /** Puts back what was withheld and still has its place; answers what has none. */
  const release = async (): Promise<typeof withheld> => {
    const { edits, drafts } = withheld
    if (edits.length + drafts.length === 0) return withheld
    withheld = { edits: [], drafts: [] }
    const left = orphans(store, [...store.edits.values(), ...edits], drafts, closed)
    const keptEdits = edits.filter((edit) => !left.edits.includes(edit))
    // What was typed meanwhile is newer.
    const keptDrafts = drafts.filter((draft) => !left.drafts.includes(draft) && !store.drafts.has(draft.key))
    if (keptEdits.length > 0) await store.writeEdits(keptEdits, [])
    if (keptDrafts.length > 0) await store.writeDrafts(keptDrafts, [])
    return { edits: left.edits.filter((edit) => edits.includes(edit)), drafts: left.drafts }
  }

  return {
    revoked: async (docs, concerns) => {
      waiting = true
      for (const doc of docs) {
        if (doc.data !== null) lost.set(doc.key, doc)
        if (doc.scope !== null) closed.add(doc.scope)
      }
      const edits = [...store.edits.values()].filter(concerns)
      const drafts = [...store.drafts.values()].filter(concerns)
      withheld = { edits: [...withheld.edits, ...edits], drafts: [...withheld.drafts, ...drafts] }
      await remove(edits, drafts)
    },
    deleted: (docs) => {
      for (const doc of docs) {
        miss(doc)
        // A row whose scope is its own id opened that scope.
        if (doc.scope === doc.id) closed.add(doc.id)
      }
    },
    reset: (docs) => {
      waiting = true
      for (const doc of docs) {
        miss(doc)
        if (doc.scope !== null) closed.add(doc.scope)
      }
    },
    given: (keys) => {
      for (const key of keys) if (!lost.has(key) && !missing.has(key)) given.add(key)
    },
    settle: async (certain) => {
      if (waiting && !certain) return
      waiting = false
      const dropped = await release()
      const asked = ({ entity, entityId, scope }: StoredEdit | Draft): boolean => isAsked(entity, entityId, scope)
      const left = orphans(store, [...store.edits.values()], [...store.drafts.values()], closed)
      const edits = left.edits.filter(asked)
      const drafts = left.drafts.filter(asked)
      await remove(edits, drafts)
      const news: News = {
        lost: [...lost.values()].filter(({ key }) => !isHeld(store, key)),
        gone: [...missing.values()].filter(({ key }) => !isHeld(store, key)),
        gained: [...given].flatMap((key) => (isHeld(store, key) ? [store.docs.get(key)!] : [])),
        edits: [...dropped.edits, ...edits].filter((edit) => edit.state !== "applied"),
        // One of a field, though another tab may have typed on. What comes still later belongs to what was said already.
        drafts: certain || missing.size > 0 ? [...new Map([...dropped.drafts, ...drafts].map((draft) => [draft.key, draft])).values()] : [],
      }
      untidy ||= missing.size > 0
      const tidy = lost.size + edits.length + drafts.length > 0 || (certain && untidy)
      lost.clear()
      missing.clear()
      given.clear()
      closed.clear()
      // Of what is deleted the storage keeps the key until it is told to tidy up. While rows come and go that can wait for the next LIVE.
      if (tidy) await store.scrub()
      if (tidy) untidy = false
      if (Object.values(news).some((list: ReadonlyArray<unknown>) => list.length > 0)) onNews(news)
    },
  }
}

const isHeld = (store: Pick<Store, "docs">, key: string): boolean => (store.docs.get(key)?.data ?? null) !== null

/**
 * Edits and drafts that speak of what is not there. A creation speaks of nothing yet: it goes with its scope, where that is one of the `closed` and nothing
 * of it is there any more.
 */
export const orphans = (
  store: Pick<Store, "docs">,
  edits: ReadonlyArray<StoredEdit>,
  drafts: ReadonlyArray<Draft>,
  closed: ReadonlySet<string>,
): { readonly edits: ReadonlyArray<StoredEdit>; readonly drafts: ReadonlyArray<Draft> } => {
  let scopes: ReadonlySet<string | null> | null = null
  const isVisible = (scope: string): boolean => {
    scopes ??= new Set([...store.docs.values()].flatMap((doc) => (doc.data === null ? [] : [doc.scope])))
    return scopes.has(scope)
  }
  const hopeless = ({ scope }: StoredEdit): boolean => scope !== null && closed.has(scope) && !isVisible(scope)
  const created = new Set(edits.filter((edit) => edit.op === "create" && !hopeless(edit)).map((edit) => documentKey(edit.entity, edit.entityId)))
  const isOrphan = ({ entity, entityId }: { readonly entity: string; readonly entityId: string }): boolean => {
    const key = documentKey(entity, entityId)
    return !isHeld(store, key) && !created.has(key)
  }
  return { edits: edits.filter(isOrphan), drafts: drafts.filter(isOrphan) }
}

