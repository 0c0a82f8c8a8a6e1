/**
 * Rows that fit no message. Postgres refuses those where they are written; a server that takes less than MESSAGE_BYTES, or a row written by
 * other means, gets past that. Such a row must not stop all the others, nor vanish: it is noted in tide.set_aside, and in its place in its transaction
 * stands a small event of the log's own, `_aside`, which says what was to be there. Later changes of the same address are set aside as
 * well, for nothing may overtake it, until an operator frees the address (`npx tideline aside retry`): its present state comes as a change of its own.
 *
 * What is set aside follows from the outbox and the table alone: a relay that dies between note and publish, or fills a stream again,
 * decides the same. The log's own rows (grants above all) are never set aside: who may see what is not decided without one of them.
 */
import type { Sql } from "#db/postgres.ts"
import { HEADER, formatTransaction } from "#protocol/event.ts"
import { ADDRESSES_ASIDE, BATCH_HEADER_BYTES, MESSAGE_BYTES, ROW_HEADER_BYTES, TOKEN_BYTES } from "#protocol/limits.ts"
import { changeSubject, isEntityCode, isSystemEntity } from "#protocol/subject.ts"
import { postgresStopped, RelayStopped } from "./errors.ts"
import * as metrics from "./metrics.ts"
import type { OutboxMessage, OutboxRow } from "./row.ts"
import { toMessage, TOMBSTONE_TTL } from "./row.ts"

export interface SetAside {
  /** The row's message, or what stands in its place. `note` must follow before it is published. */
  readonly message: (row: OutboxRow, position: number) => OutboxMessage
  /** Notes in Postgres what `message` set aside since. */
  readonly note: () => Promise<void>
  /** Reads again which addresses are held, for who has published what this snapshot sees. Nothing is asked while none is, unless `always`. */
  readonly refresh: (published: string, always?: boolean) => Promise<void>
}

/** What is held of an address: outbox ids from `from` on, and those from `before` up to, without, `freed`. */
interface Held {
  readonly from: number
  readonly before: number
  readonly freed: number
}

/** Whether the row was set aside, and its address freed since by a later one. */
const isFreed = (of: Held, id: number): boolean => id >= of.before && id < of.freed

/** The body of an `_aside` event, and what is noted. */
interface Change {
  readonly outboxId: number
  readonly entity: string
  readonly id: string
  readonly scope: string | null
  readonly operation: string
  readonly reason: string
  readonly bytes: number
}

/** `takes`: bytes of the largest message that the server takes. */
export const setAside = (session: Sql, takes: () => number, warn: (what: string, hint: string) => void): SetAside => {
  /** By subject. */
  let held = new Map<string, Held>()
  let noting: Array<Change> = []
  const known = new Set<string>()

  const count = (): void => metrics.addressesAside.set([...held.values()].filter(({ from }) => from < Infinity).length)

  /** Whether what the row makes is no subject of the stream. */
  const hasNoSubject = ({ entity }: OutboxRow, subject: string): boolean => {
    if (!known.has(entity)) {
      if (!isEntityCode(entity) && !isSystemEntity(entity)) return true
      known.add(entity)
    }
    return subject.length > 2 * TOKEN_BYTES + 100
  }

  const reasonFor = (row: OutboxRow, message: OutboxMessage): string | null => {
    const { subject, headers, bytes } = message
    const most = Math.min(MESSAGE_BYTES, takes()) - BATCH_HEADER_BYTES
    if (bytes > most) return `its message has ${bytes} bytes, ${most} are possible`
    if (headers.length > ROW_HEADER_BYTES / 3 && Buffer.byteLength(headers) > ROW_HEADER_BYTES) return `its headers have ${Buffer.byteLength(headers)} bytes, ${ROW_HEADER_BYTES} are possible`
    if (hasNoSubject(row, subject)) return "its entity, scope and id are no address"
    if (held.size === 0) return null
    const of = held.get(subject)
    if (of === undefined || !(row.id >= of.from || isFreed(of, row.id))) return null
    return "an earlier change of the same address is set aside"
  }

  return {
    message: (row, position) => {
      const message = toMessage(row, position)
      const reason = reasonFor(row, message)
      if (reason === null) return message
      if (isSystemEntity(row.entity)) throw mayNot(row, reason)
      const change: Change = { outboxId: row.id, entity: row.entity, id: row.entityId, scope: row.scope, operation: row.op, reason, bytes: message.bytes }
      noting.push(change)
      const of = held.get(message.subject)
      if (of === undefined) held.set(message.subject, { from: row.id, before: Infinity, freed: 0 })
      // A stream that is filled again meets what was freed since: that stays so.
      else if (!isFreed(of, row.id)) held.set(message.subject, { ...of, from: Math.min(of.from, row.id) })
      return inPlace(row, position, change)
    },
    note: async () => {
      if (noting.length === 0) return
      const changes = noting
      noting = []
      if (held.size > ADDRESSES_ASIDE) throw tooMany(takes())
      await session`select tide.note_aside(${JSON.stringify(changes)}::text::json)`.catch((cause: unknown) => Promise.reject(postgresStopped(cause)))
      metrics.aside.add(changes.length)
      count()
      const [{ entity, id, reason }] = changes as [Change]
      warn(`changes of ${entity} ${id.slice(0, 80)} are set aside: ${reason}`, "npx tideline aside lists them, npx tideline aside retry publishes what is there now")
    },
    refresh: async (published, always = false) => {
      if (held.size === 0 && !always) return
      noting = []
      const rows = await session<Array<{ entity: string; id: string; scope: string | null; from: number | null; before: number | null; freed: number | null }>>`
        select entity, entity_id as id, scope, open_from as from, freed_from as before, freed_to as freed from tide.held_addresses(${published}::text::pg_snapshot)`
        .catch((cause: unknown) => Promise.reject(postgresStopped(cause)))
      held = new Map(rows.map(({ entity, id, scope, from, before, freed }) => [changeSubject({ scope, entity, id }), { from: from ?? Infinity, before: before ?? Infinity, freed: freed ?? 0 }]))
      count()
    },
  }
}

/** The event in the place of the row. Its address is of no entity, so it leaves STATE as a tombstone does. */
const inPlace = (row: OutboxRow, position: number, change: Change): OutboxMessage => {
  const subject = changeSubject({ scope: null, entity: "_aside", id: String(row.id) })
  const headers =
    `${HEADER.operation}: INSERT\r\n${HEADER.transaction}: ${formatTransaction({ xid: row.xid, position, count: row.count })}\r\n` +
    `${HEADER.at}: ${row.at}\r\nNats-TTL: ${TOMBSTONE_TTL}\r\n`
  const body = JSON.stringify({ ...change, entity: change.entity.slice(0, 200), id: change.id.slice(0, TOKEN_BYTES), scope: change.scope?.slice(0, TOKEN_BYTES) ?? null })
  return { row, subject, headers, body, bytes: headers.length + Buffer.byteLength(body) }
}

const mayNot = (row: OutboxRow, reason: string): RelayStopped =>
  new RelayStopped({
    reason: "large",
    message: `the change of ${row.entity} in outbox row ${row.id} cannot be published: ${reason}`,
    hint: "access and tracking are told whole or not at all, so nothing after it is published: max_payload (nats/nats.conf) must be what MESSAGE_BYTES (protocol/limits.ts) says",
  })

const tooMany = (takes: number): RelayStopped =>
  new RelayStopped({
    reason: "large",
    message: `changes of more than ${ADDRESSES_ASIDE} entities would be set aside`,
    hint: `the server takes messages of ${takes} bytes, ${MESSAGE_BYTES} are meant: set max_payload in nats/nats.conf`,
  })
