/** The promise of hop 5: after any history of writes, grants, cuts, duplicates and crashes, what the replica holds is what the edge says its user may see. */
import { getRxStorageMemory } from "rxdb/plugins/storage-memory"
import { vi } from "vitest"
import type { Down } from "#protocol/down.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import { createReplica } from "./client.ts"
import { orphans } from "./losses.ts"
import type { Replica } from "./replica.ts"
import { documentKey, draftKey } from "./store.ts"
import type { Store } from "./store.ts"
import { createMemoryStore } from "./store-memory.ts"
import { openRxStore } from "./store-rxdb.ts"
import type { Network } from "./testing/fake-edge.ts"
import { FakeEdge } from "./testing/fake-edge.ts"
import { turn, until } from "./testing/until.ts"

const ENTITIES = ["task", "note"]

/** Cuts a connection in the middle of what is on its way, and repeats, swaps or swallows frames that say from where to where they lead. */
const unruly =
  (random: Random): Network =>
  (frames) => {
    const through: Array<Down> = []
    let last: Down | null = null
    for (const frame of frames) {
      const fate = random.next()
      if (fate < 0.05) return { frames: through, cut: true }
      if (fate < 0.08 && moves(frame)) continue
      if (fate < 0.11 && last !== null) through.push(last)
      if (fate < 0.14 && moves(frame) && through.length > 0 && moves(through.at(-1)!)) through.splice(through.length - 1, 0, frame)
      else through.push(frame)
      if (moves(frame)) last = frame
    }
    return { frames: through, cut: false }
  }

const moves = (frame: Down): boolean => (frame.type === "CHANGES" || frame.type === "LIVE") && frame.payload.to > frame.payload.from

/** A store that a crash cuts off: what was not durable then never will be. */
const crashable = (store: Store): { readonly store: Store; readonly crash: () => void } => {
  let crashed = false
  const never = new Promise<never>(() => {})
  const guard = <A extends ReadonlyArray<unknown>>(write: (...args: A) => Promise<void>) => (...args: A): Promise<void> => (crashed ? never : write(...args))
  return {
    store: { ...store, writeDocs: guard(store.writeDocs), writeEdits: guard(store.writeEdits), writeDrafts: guard(store.writeDrafts), writeHeld: guard(store.writeHeld), close: async () => {} },
    crash: () => (crashed = true),
  }
}

const STEPS = 120

const history = async (random: Random, disk: Store): Promise<void> => {
  const edge = new FakeEdge({ page: 1 + random.int(4), network: unruly(random) })
  const open = async (): Promise<{ replica: Replica; crash: () => void }> => {
    const { store, crash } = crashable(disk)
    const replica = await createReplica({
      user: "ada", token: "good", url: "", subscriptions: ENTITIES.map((entityCode) => ({ entityCode })), store, openSocket: edge.openSocket, random: () => 0,
    })
    return { replica, crash }
  }
  let { replica, crash } = await open()
  /** Where each row is now. */
  const scopes = new Map<string, string>()
  const scopeOf = (key: string): string => scopes.get(key) ?? (key.at(-1)! < "f" ? "p1" : "p2")
  let release: (() => void) | null = null
  for (let i = 0; i < STEPS; i++) {
    const what = random.next()
    if (what < 0.55) {
      const count = random.int(8) === 0 ? 5 : 1
      const changes = Array.from({ length: count }, () => {
        const id = random.pick(["a", "b", "c", "d", "g", "h", "i", "j"])
        const entity = random.pick([...ENTITIES, "extra"])
        return { entity, id, scope: scopeOf(documentKey(entity, id)), data: random.next() < 0.3 ? null : { n: i } }
      })
      edge.write(changes)
    } else if (what < 0.63) {
      const [entity, id] = [random.pick(ENTITIES), random.pick(["a", "b", "g", "h"])]
      const from = scopeOf(documentKey(entity, id))
      const to = from === "p1" ? "p2" : "p1"
      scopes.set(documentKey(entity, id), to)
      edge.write([{ entity, id, scope: from, data: null }, { entity, id, scope: to, data: { n: i } }])
    } else if (what < 0.66) {
      const doc = [...replica.documents().values()].find(() => random.next() < 0.3)
      if (doc !== undefined && doc.entity !== "extra") {
        const { entity, id: entityId, scope } = doc
        if (random.next() < 0.5) replica.edit({ entity, entityId, scope, op: "update", data: { n: -i } })
        else await replica.store.writeDrafts([{ key: draftKey(entity, entityId, "n"), entity, entityId, scope, field: "n", value: String(i), at: 0 }], [])
      }
    } else if (what < 0.74) edge.allow(random.pick([["p1"], ["p2"], ["p1", "p2"], []]))
    else if (what < 0.8) edge.disconnect(random.pick([1006, 4010, 4008]))
    else if (what < 0.84) edge.heartbeat()
    else if (what < 0.86) edge.newEpoch()
    else if (what < 0.92) {
      if (release === null) release = replica.subscribe([{ entityCode: "extra" }])
      else {
        release()
        release = null
      }
    } else if (what < 0.96) {
      crash()
      void replica.close()
      release = null
      ;({ replica, crash } = await open())
    }
    if (random.next() < 0.5) await turn()
  }
  edge.network = (frames) => ({ frames, cut: false })
  edge.disconnect()
  await until(() => {
    edge.heartbeat()
    return replica.status$.value.kind === "live" && replica.position() >= 1 && same(replica, edge, release !== null)
  }, () => `${JSON.stringify(replica.status$.value)} ${describe(replica, edge, release !== null)}`)
  // Nothing left on the device speaks of what is not there.
  await until(() => {
    const left = orphans(disk, [...disk.edits.values()], [...disk.drafts.values()], new Set())
    return left.edits.length + left.drafts.length === 0
  }, () => JSON.stringify([[...disk.edits.values()], [...disk.drafts.values()], [...disk.docs.keys()]]))
  await replica.close()
}

const asked = (extra: boolean): ReadonlyArray<string> => (extra ? [...ENTITIES, "extra"] : ENTITIES)
const describe = (replica: Replica, edge: FakeEdge, extra: boolean): string =>
  `has ${JSON.stringify([...replica.documents()].map(([key, doc]) => [key, doc.version, doc.data]).sort())} should ${JSON.stringify([...edge.truth(asked(extra))].sort())}`
const same = (replica: Replica, edge: FakeEdge, extra: boolean): boolean => {
  const truth = edge.truth(asked(extra))
  const docs = replica.documents()
  return docs.size === truth.size && [...truth].every(([key, row]) => docs.get(key)?.version === row.version && JSON.stringify(docs.get(key)?.data) === JSON.stringify(row.data))
}

vi.setConfig({ testTimeout: 60_000 })

property("any history converges", 60, (random) => history(random, createMemoryStore()))

property("any history converges in RxDB", 10, async (random) => {
  const store = await openRxStore({ name: "ada", storage: getRxStorageMemory(), shared: false })
  try {
    await history(random, store)
  } finally {
    await store.destroy()
  }
})
