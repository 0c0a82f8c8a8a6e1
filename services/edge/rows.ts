/** Current state and history for HTTP: read from STATE and CHANGES under a user's access, never kept. */
import type { ViewPattern } from "#protocol/grant.ts"
import type { Address } from "#protocol/subject.ts"
import { isAccessEntity } from "#protocol/subject.ts"
import type { LogMessage } from "#nats/log.ts"
import type { Access } from "./access.ts"
import { changeJson } from "./event.ts"
import type { World } from "./world.ts"

export interface Page {
  readonly items: ReadonlyArray<string>
  /** Where the next page begins, or null: this was the last. */
  readonly next: number | null
}

/** Rows of the entity that the user may see, in the order of their newest change, after `after`. Each as JSON. */
export const page = async (world: World, access: Access, asked: ViewPattern, after: number, limit: number): Promise<Page> => {
  const patterns = seenOf(access, asked)
  const found: Array<LogMessage> = []
  const enough = new AbortController()
  try {
    await world.replays.read({
      patterns,
      after,
      upTo: Number.MAX_SAFE_INTEGER,
      start: () => {},
      page: (messages) => {
        for (const message of messages) if (message.operation !== "DELETE" && access.allowed.matches(message.address)) found.push(message)
        if (found.length > limit) enough.abort()
      },
      signal: enough.signal,
    })
  } catch (cause) {
    if (!enough.signal.aborted) throw cause
  }
  const items = found.slice(0, limit)
  const next = found.length > limit ? items.at(-1)!.seq : null
  return { items: (await visible(world, access, items)).map(itemJson), next }
}

/**
 * Those that the user may see as of the newest of them: STATE may have been read beyond the position as of which access was decided, and what was
 * written after a revocation is not told under a right from before it.
 */
const visible = async (world: World, access: Access, messages: ReadonlyArray<LogMessage>): Promise<ReadonlyArray<LogMessage>> => {
  const newest = messages.reduce((most, { seq }) => Math.max(most, seq), 0)
  const { allowed } = newest <= access.at ? access : await world.accesses.resolve(access.user, newest)
  return messages.filter((message) => allowed.matches(message.address))
}

/** The row as JSON, or null where there is none that the user may see. */
export const row = async (world: World, access: Access, entity: string, id: string): Promise<string | null> => {
  const newest = (await versionsNow(world, access, entity, id)).at(-1)
  return newest === undefined || newest.operation === "DELETE" ? null : itemJson(newest)
}

/** Every version that the log keeps and the user may see, oldest first, each as JSON. Null where there never was one. */
export const history = async (world: World, access: Access, entity: string, id: string, limit: number): Promise<ReadonlyArray<string> | null> => {
  const places = new Set((await versionsNow(world, access, entity, id)).map((message) => message.address.scope))
  if (places.size === 0) return null
  const versions = await Promise.all([...places].map((scope) => world.log.history({ entity, id, scope, limit })))
  return [...(await visible(world, access, versions.flat()))]
    .sort((a, b) => a.seq - b.seq)
    .slice(-limit)
    .map(changeJson)
}

/** What of it the user sees. */
const seenOf = (access: Access, asked: ViewPattern): ReadonlyArray<ViewPattern> => access.allowed.cut([asked], Number.POSITIVE_INFINITY) ?? []

/** Addresses asked about in one request. */
const ADDRESSES = 1_000

/** The newest message of the entity in each scope in which it is or was, as far as the user sees those, in sequence order. */
const versionsNow = async (world: World, access: Access, entity: string, id: string): Promise<ReadonlyArray<LogMessage>> => {
  const seen = seenOf(access, { entity, scope: null, id })
  if (seen.length === 0) return []
  const found: Array<LogMessage> = []
  if (isAccessEntity(entity) || world.entities.get(entity)?.scope_column === null) {
    // A hidden row is not asked for: what is in it would take its time, and its sequence another question.
    const address = { scope: null, entity, id }
    if (access.allowed.matches(address)) found.push(...(await world.log.latest([address])))
  } else if (seen.some((pattern) => pattern.scope === null)) {
    const page = (messages: ReadonlyArray<LogMessage>): void => void found.push(...messages)
    await world.replays.read({ patterns: seen, after: 0, upTo: Number.MAX_SAFE_INTEGER, start: () => {}, page, signal: new AbortController().signal })
  } else {
    const addresses = seen.map((pattern): Address => ({ scope: pattern.scope, entity, id }))
    for (let i = 0; i < addresses.length; i += ADDRESSES) found.push(...(await world.log.latest(addresses.slice(i, i + ADDRESSES))))
  }
  return [...(await visible(world, access, found))].sort((a, b) => a.seq - b.seq)
}

const itemJson = (m: LogMessage): string =>
  `{"entityCode":"${m.address.entity}","entityId":${JSON.stringify(m.address.id)},"scope":${JSON.stringify(m.address.scope)}` +
  `,"version":${m.seq},"data":${m.body},"timestamp":${JSON.stringify(m.at)},"by":${JSON.stringify(m.user)}}`
