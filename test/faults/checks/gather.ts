/** Reads the evidence: lets the writers stand still, waits until all is published and mirrored, and reads what is new in both. */
import { parseCursor } from "../../../services/outbox-relay/cursor.ts"
import type { Sql } from "#db/postgres.ts"
import { decodeMessage } from "#nats/decode.ts"
import type { LogMessage } from "#nats/log.ts"
import { openReader } from "#nats/reader.ts"
import { CHANGES } from "#nats/streams.ts"
import { HEADER } from "#protocol/event.ts"
import { FOLLOW_AHEAD } from "#protocol/limits.ts"
import { ALL_CHANGES, changeSubject } from "#protocol/subject.ts"
import { until } from "#test/support/until.ts"
import type { World } from "../world/world.ts"
import type { Evidence, OutboxRow, StreamMessage } from "./evidence.ts"
import { changes, pair } from "./pair.ts"

/** How far one has read. */
export interface Position {
  /** The largest outbox id, and the sequences of CHANGES and STATE. */
  readonly row: number
  readonly changes: number
  readonly state: number
}
export const BEGINNING: Position = { row: 0, changes: 0, state: 0 }

/** Milliseconds for the relays to have published what the writers left behind, and for both to be ready. */
const PUBLISH_MS = 15_000
/** Milliseconds for STATE: a mirror whose origin was made again looks for it every ten seconds or so. */
const MIRROR_MS = 40_000
const READ_MS = 60_000

/** Evidence from the position on. Writers stand still when it resolves. */
export const gather = async (world: World, from: Position): Promise<{ readonly evidence: Evidence; readonly to: Position }> => {
  const { sql, log, relays } = world
  await world.standStill()
  const complaints: Array<string> = relays.flatMap((relay) => [...relay.surprises()])
  const inTime = async (what: string, deadline: number, ask: () => Promise<boolean>): Promise<void> => {
    await until(ask, { what, deadline, every: 20 }).catch((cause: Error) => void complaints.push(cause.message))
  }
  // Clients look first: what they need for it is a change like any other.
  const audience = (await world.audience?.check(world.lostSomething())) ?? null
  const rows = await outboxAfter(sql, from.row)
  let messages: ReadonlyArray<StreamMessage> = []
  let compared = -1
  const published = (): boolean => {
    if (changes(messages).length >= rows.length) return true
    // A stream that was made anew need not have everything: then they are compared, but not again for nothing.
    if (from.row > 0 || compared === messages.length) return false
    compared = messages.length
    return pair(rows, messages).missing.length === 0
  }
  await inTime("every committed change is in the stream", PUBLISH_MS, async () => {
    const { first, last } = await log.head()
    const next = messages.length === 0 ? Math.max(first, from.changes + 1) : messages.at(-1)!.seq + 1
    if (last < next) return published()
    messages = [...messages, ...(await read(world, next, last))]
    return published()
  })
  await inTime("STATE follows", MIRROR_MS, async () => {
    const { state, last } = await log.head()
    return state === last
  })
  await inTime("one relay works, the other stands by, both are ready", PUBLISH_MS, async () => {
    const states = await Promise.all(relays.map((relay) => relay.state()))
    return states.filter((each) => each.active).length === 1 && states.every((each) => each.reasons?.length === 0)
  })
  const head = await log.head()
  if (head.last > (messages.at(-1)?.seq ?? from.changes)) messages = [...messages, ...(await read(world, (messages.at(-1)?.seq ?? from.changes) + 1, head.last))]
  const state = await stateAfter(world, from.state)
  const [noted] = await sql<Array<{ epoch: string; acked: string }>>`select epoch, acked_seq as acked from tide.relay_state`
  const [lease] = await sql<Array<{ holders: number }>>`
    select count(*)::int as holders from pg_locks where locktype = 'advisory' and granted and (classid::bigint << 32 | objid::bigint) = tide.lease_key()`
  return {
    evidence: {
      rows,
      messages,
      state,
      tables: await tableRows(sql),
      head,
      noted: noted === undefined ? null : { epoch: noted.epoch, acked: Number(noted.acked) },
      relays: await Promise.all(relays.map((relay) => relay.state())),
      leases: lease!.holders,
      acknowledged: world.writers.acknowledged(),
      losses: world.losses(),
      audience,
      complaints,
    },
    to: { row: rows.at(-1)?.id ?? from.row, changes: head.last, state: head.state },
  }
}

const outboxAfter = async (sql: Sql, id: number): Promise<ReadonlyArray<OutboxRow>> => {
  const found = await sql<Array<{ id: string; xid: string; scope: string | null; entity: string; entity_id: string; op: string; after: string | null; mutation: string | null }>>`
    select id, xid::text, scope, entity, entity_id, op, after::text, mutation_id as mutation from tide.outbox where id > ${id} order by id`
  return found.map(({ id, xid, scope, entity, entity_id, op, after, mutation }) => ({
    id: Number(id), xid, op, mutation, after: after ?? "", subject: changeSubject({ scope, entity, id: entity_id }),
  }))
}

/** The messages of CHANGES from one sequence to another, with their cursors. */
const read = async (world: World, from: number, to: number): Promise<ReadonlyArray<StreamMessage>> => {
  const messages: Array<StreamMessage> = []
  let at = from - 1
  let broken: string | null = null
  const reader = await openReader(world.nats, {
    stream: CHANGES,
    filters: [ALL_CHANGES],
    from,
    ahead: FOLLOW_AHEAD,
    idle: () => undefined,
    broken: (why) => void (broken = why),
    message: (delivery, message) => {
      at = delivery.seq
      if (at > to) return
      const decoded = decodeMessage(delivery.seq, message.subject, 0, message.headers, message.data)
      if (typeof decoded === "string") broken = `message ${at}: ${decoded}`
      else messages.push({ ...decoded, cursor: parseCursor(message.headers?.get(HEADER.cursor) ?? "") })
    },
  })
  try {
    await until(() => {
      if (broken !== null) throw new Error(`the stream cannot be read: ${broken}`)
      return at >= to
    }, { what: `CHANGES is read up to ${to}`, deadline: READ_MS })
  } finally {
    reader.close()
  }
  return messages
}

const stateAfter = async (world: World, after: number): Promise<ReadonlyArray<LogMessage>> => {
  const found: Array<LogMessage> = []
  await world.log.readState({ patterns: [{ entity: null, scope: null, id: null }], after, page: (page) => void found.push(...page) })
  return found
}

/** Every row of every tracked table by its address, by Postgres' own account. */
const tableRows = async (sql: Sql): Promise<ReadonlyMap<string, string>> => {
  const tracked = await sql<Array<{ entity: string; table_name: string; id: string; scope: string | null }>>`
    select entity, table_name, tide.id_expression(relation, key_columns, 't') as id, tide.scope_expression(scope_column, 't') as scope from tide.tracked`
  const rows = new Map<string, string>()
  for (const { entity, table_name, id, scope } of tracked) {
    const found = await sql.unsafe<Array<{ id: string; scope: string | null; row: string }>>(`select ${id} as id, ${scope ?? "null"} as scope, to_json(t.*)::text as row from ${table_name} t`)
    for (const each of found) rows.set(changeSubject({ scope: each.scope, entity, id: each.id }), each.row)
  }
  return rows
}
