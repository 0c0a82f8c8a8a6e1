/** Tabs in a real browser: IndexedDB, Web Locks and BroadcastChannel between frames of one origin, which is what tabs are to each other. */
import { afterEach, beforeEach, expect, test } from "vitest"
import type { Replica } from "./replica.ts"
import type { openTab as OpenTab, TabOptions } from "./tab.ts"
import { FakeEdge } from "./testing/fake-edge.ts"
import { until } from "./testing/until.ts"

interface Tab {
  readonly replica: Replica
  /** Without a word, as a crash would. */
  readonly vanish: () => void
}

let edge: FakeEdge
let user = ""
const frames = new Set<HTMLIFrameElement>()

beforeEach(() => {
  edge = new FakeEdge()
  user = `ada ${crypto.randomUUID()}`
  edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "old" } }])
})
afterEach(() => {
  for (const frame of frames) frame.remove()
  frames.clear()
})

const open = async (options: Partial<TabOptions> = {}): Promise<Tab> => {
  const frame = document.createElement("iframe")
  frames.add(frame)
  const loaded = new Promise<typeof OpenTab>((resolve) => {
    Object.assign(globalThis, { tabLoaded: resolve })
  })
  frame.srcdoc = `<script type="module">import { openTab } from ${JSON.stringify(new URL("./tab.ts", import.meta.url).href)}; parent.tabLoaded(openTab)</script>`
  document.body.append(frame)
  const openTab = await loaded
  const replica = await openTab({ user, token: "good", url: "", subscriptions: [{ entityCode: "task" }], openSocket: edge.openSocket, ...options })
  return { replica, vanish: () => frame.remove() }
}
const title = ({ replica }: Tab): unknown => replica.documents().get("task|t")?.data?.["title"]
const update = ({ replica }: Tab, text: string): string =>
  replica.edit({ entity: "task", entityId: "t", scope: "p1", op: "update", data: { title: text } })
const atServer = (): unknown => edge.truth(["task"]).get("task|t")?.data["title"]

test("documents, place and edits that wait survive a closed browser", async () => {
  const first = await open()
  await first.replica.settled()
  edge.reachable = false
  edge.disconnect()
  update(first, "offline")
  await first.replica.close()
  const second = await open()
  expect(title(second)).toBe("old")
  expect([...second.replica.store.edits.values()]).toMatchObject([{ state: "waiting", base: { title: "old" }, data: { title: "offline" } }])
  edge.received.length = 0
  edge.reachable = true
  second.replica.hurry()
  await second.replica.settled()
  expect(edge.received.find((frame) => frame.type === "SUBSCRIBE")?.payload.cursor).toBeDefined()
  expect([title(second), atServer()]).toEqual(["offline", "offline"])
})

test("two tabs share one socket, one status and each other's edits", async () => {
  const first = await open()
  await first.replica.settled()
  const second = await open()
  await until(() => second.replica.status$.value.kind === "live")
  expect(edge.connections).toBe(1)
  edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "seen by both" } }])
  await until(() => title(first) === "seen by both" && title(second) === "seen by both")
  edge.holdMutations = true
  update(second, "from the second")
  await until(() => first.replica.store.edits.size === 1 && edge.received.some((frame) => frame.type === "MUTATE"))
  edge.answerMutations()
  await until(() => atServer() === "from the second" && title(second) === "from the second" && second.replica.store.edits.size === 0)
})

test("another tab takes over when the one with the socket vanishes, without starting over", async () => {
  const first = await open()
  await first.replica.settled()
  const second = await open()
  await until(() => second.replica.status$.value.kind === "live")
  first.vanish()
  edge.disconnect()
  edge.write([{ entity: "task", id: "t", scope: "p1", data: { title: "after" } }])
  edge.received.length = 0
  await until(() => title(second) === "after")
  expect(edge.received.find((frame) => frame.type === "SUBSCRIBE")?.payload.cursor).toBeDefined()
  update(second, "still works")
  await until(() => atServer() === "still works")
})

test("what any tab wants is subscribed by the one that leads, for as long as it is there", async () => {
  edge.write([{ entity: "file", id: "f", scope: "p1", data: {} }])
  const first = await open()
  await first.replica.settled()
  const second = await open()
  second.replica.subscribe([{ entityCode: "file" }])
  await until(() => first.replica.documents().has("file|f") && second.replica.documents().has("file|f"))
  await second.replica.close()
  await until(() => !first.replica.documents().has("file|f"))
})

test("thirty entity types take no more collections than one", async () => {
  const entities = Array.from({ length: 30 }, (_, n) => `entity${n}`)
  edge.write(entities.map((entity) => ({ entity, id: "1", scope: "p1", data: {} })))
  const tab = await open({ subscriptions: entities.map((entityCode) => ({ entityCode })) })
  await tab.replica.settled()
  expect(tab.replica.documents().size).toBe(30)
})

test("what is revoked leaves the disk, with its edits", async () => {
  edge.write([{ entity: "task", id: "s", scope: "p2", data: { title: "a secret" } }])
  const tab = await open()
  await tab.replica.settled()
  edge.holdMutations = true
  tab.replica.edit({ entity: "task", entityId: "s", scope: "p2", op: "update", data: { title: "a secret edit" } })
  await until(() => edge.received.some((frame) => frame.type === "MUTATE"))
  edge.allow(["p1"])
  await until(() => tab.replica.documents().size === 1 && tab.replica.store.edits.size === 0)
  await tab.replica.close()
  expect(await onDisk()).not.toContain("secret")
  expect(await onDisk()).toContain("old")
})

test("two people on one browser never see each other's data, and a sign-out leaves nothing in any tab", async () => {
  let forgotten = 0
  const ada = await open()
  const adaToo = await open({ onForgotten: () => forgotten++ })
  await ada.replica.settled()
  await until(() => title(adaToo) === "old")
  edge.allow([])
  const grace = await open({ user: `grace ${crypto.randomUUID()}` })
  await grace.replica.settled()
  expect(grace.replica.documents().size).toBe(0)
  edge.allow(["p1"])
  await until(() => title(ada) === "old" && title(grace) === "old")
  expect(await onDisk()).toContain("old")
  await ada.replica.forget()
  await until(() => forgotten === 1)
  await expect.poll(names, { timeout: 10_000 }).toEqual([])
  expect(title(grace)).toBe("old")
})

test("a first state of 10,000 documents is on the disk, and read again, within seconds", async () => {
  const many = 10_000
  edge = new FakeEdge({ page: 1_000 })
  edge.write(Array.from({ length: many }, (_, n) => ({ entity: "task", id: `t${n}`, scope: "p1", data: { title: `task ${n}`, description: "x".repeat(120) } })))
  const first = await open()
  const from = performance.now()
  await first.replica.settled()
  const synced = performance.now() - from
  await first.replica.close()
  const again = performance.now()
  const second = await open()
  const opened = performance.now() - again
  expect(second.replica.documents().size).toBe(many)
  // Ten times what an idle machine takes: a regression by an order of magnitude fails, a busy machine does not.
  expect(synced).toBeLessThan(12_000)
  expect(opened).toBeLessThan(8_000)
})

/** This person's databases. */
const names = async (): Promise<ReadonlyArray<string>> =>
  (await indexedDB.databases()).flatMap(({ name = "" }) => (name.includes(user.slice(4)) ? [name] : []))

/** Everything in them, as text. */
const onDisk = async (): Promise<string> => {
  const texts: Array<string> = []
  for (const name of await names()) {
    const database = await asked(indexedDB.open(name))
    for (const store of database.objectStoreNames) texts.push(JSON.stringify(await asked(database.transaction(store).objectStore(store).getAll())))
    database.close()
  }
  return texts.join("\n")
}
const asked = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

test("whoever was signed out is forgotten in every tab, what waits included, and no token is asked for in silence", async () => {
  const told: Array<boolean> = []
  let renewals = 0
  const options = { onForgotten: (dismissed: boolean) => void told.push(dismissed), renew: async () => `token ${++renewals}` }
  const first = await open(options)
  await first.replica.settled()
  const second = await open(options)
  await until(() => second.replica.status$.value.kind === "live")
  edge.holdMutations = true
  update(first, "unsent")
  await second.replica.store.writeDrafts([{ key: "task|t|title", entity: "task", entityId: "t", scope: "p1", field: "title", value: "a draft", at: 0 }], [])
  await until(() => edge.received.some((frame) => frame.type === "MUTATE"))
  edge.say({ type: "ERROR", payload: { code: "signed_out", message: "this session was signed out", hint: "" } })
  edge.disconnect(4001)
  await until(() => told.length === 2)
  expect([told, renewals]).toEqual([[true, true], 0])
  const again = await open()
  expect([again.replica.store.docs.size, again.replica.store.edits.size, again.replica.store.drafts.size]).toEqual([0, 0, 0])
})

test("whose token has ended keeps what waits, and goes on with the next one", async () => {
  const tab = await open()
  await tab.replica.settled()
  edge.reachable = false
  update(tab, "kept")
  edge.disconnect(4002)
  await until(() => tab.replica.status$.value.kind === "signed-out")
  expect([title(tab), tab.replica.store.edits.size]).toEqual(["old", 1])
  edge.reachable = true
  tab.replica.setToken("good")
  await tab.replica.settled()
  expect([title(tab), atServer()]).toEqual(["kept", "kept"])
})
