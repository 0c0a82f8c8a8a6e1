/** The people in front of their screens: each with a replica of their own behind a network of their own. */
import { getRxStorageMemory } from "rxdb/plugins/storage-memory"
import type { Random } from "#test/support/random.ts"
import type { TestStack } from "#test/support/stack.ts"
import { createReplica } from "../../web/src/sync/client.ts"
import type { Replica } from "../../web/src/sync/replica.ts"
import { openRxStore } from "../../web/src/sync/store-rxdb.ts"
import type { Link } from "./link.ts"
import { openLink } from "./link.ts"
import { canonical } from "./people.ts"

/** After how many commits, on average, a person's network is cut, and how many it stays away. */
const CUT_EVERY = 700
const AWAY = 400

export interface Watcher {
  readonly name: string
  readonly replica: Replica
  readonly link: Link
  /** The commit at which the network comes back, or null while it is up. */
  back: number | null
  cuts: number
}

const anyEdge = (stack: TestStack, random: Random): number => Number(new URL(random.pick(stack.edgeUrls)).port)

/** Somebody who watches every file they may see, through either edge. */
export const watch = async (stack: TestStack, name: string, random: Random): Promise<Watcher> => {
  const link = await openLink(anyEdge(stack, random))
  const replica = await createReplica({
    user: name,
    token: await stack.token(name),
    url: `ws://127.0.0.1:${link.port}/ws`,
    subscriptions: [{ entityCode: "file" }],
    store: await openRxStore({ name: `history ${name} ${link.port}`, storage: getRxStorageMemory(), shared: false }),
  })
  return { name, replica, link, back: null, cuts: 0 }
}

/** Cuts and restores networks as the commits go by. */
export const weather = (stack: TestStack, watchers: ReadonlyArray<Watcher>, random: Random, commit: number): void => {
  for (const watcher of watchers) {
    if (watcher.back !== null && commit >= watcher.back) comeBack(stack, watcher, random)
    else if (watcher.back === null && random.chance(1 / CUT_EVERY)) {
      watcher.link.cut()
      watcher.cuts++
      watcher.back = commit + 1 + random.int(2 * AWAY)
    }
  }
}

/** The network is there again, to either edge. */
export const comeBack = (stack: TestStack, watcher: Watcher, random: Random): void => {
  watcher.link.restore(anyEdge(stack, random))
  watcher.back = null
  watcher.replica.hurry()
}

export const leave = async ({ replica, link }: Watcher): Promise<void> => {
  await replica.close()
  await link.close()
}

/** Each file the replica holds, by path. */
const held = (replica: Replica): ReadonlyMap<string, string> =>
  new Map([...replica.documents().values()].filter((doc) => doc.entity === "file").map((doc) => [doc.id, canonical(doc.data)]))

/** What of a replica is not the truth, in words; nothing where all of it is. */
export const untruths = ({ name, replica }: Watcher, truth: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const is = held(replica)
  return [
    ...[...truth].filter(([path]) => !is.has(path)).map(([path]) => `${name} lacks ${path}`),
    ...[...is].filter(([path]) => !truth.has(path)).map(([path]) => `${name} should not have ${path}`),
    ...[...truth].filter(([path, row]) => is.has(path) && is.get(path) !== row).map(([path, row]) => `${name} has ${path} as ${is.get(path)}, it is ${row}`),
  ]
}
