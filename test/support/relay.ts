/** Relay processes for live tests, and what a stream must hold for what an outbox holds. */
import type { Sql } from "#db/postgres.ts"
import type { Log, LogMessage } from "#nats/log.ts"
import { changeSubject } from "#protocol/subject.ts"
import type { ServiceProcess } from "./service.ts"
import { startService } from "./service.ts"
import { until } from "./until.ts"

export type RelayProcess = ServiceProcess

/** Starts a relay, with more settings if given. */
export const startRelay = (databaseUrl: string, natsUrl: string, settings: Readonly<Record<string, string>> = {}): Promise<RelayProcess> =>
  startService("services/outbox-relay/main.ts", { DATABASE_URL: databaseUrl, NATS_URL: natsUrl, ...settings })

/** Every message that CHANGES holds, epochs aside. */
export const wholeLog = async (log: Log): Promise<ReadonlyArray<LogMessage>> => {
  const { first, last } = await log.head()
  const messages: Array<LogMessage> = []
  const following = await log.follow({ from: first, message: (m) => messages.push(m), event: () => {} })
  await following.reach(last, 20_000)
  await following.stop()
  return messages.filter((message) => message.address.entity !== "_epoch")
}

interface Wanted {
  readonly id: string
  readonly entity: string
  readonly entity_id: string
  readonly scope: string | null
  readonly op: string
  readonly xid: string
  readonly after: string | null
  readonly count: number
}

/**
 * Compares stream and outbox: each committed row once, each entity in the order of its row locks (which is that of outbox ids), each
 * transaction whole. Answers what is wrong, nothing where nothing is. `since`: the first sequence that counts, where a lost history left doubles.
 */
export const compareWithOutbox = async (sql: Sql, log: Log): Promise<ReadonlyArray<string>> => {
  const rows = await sql<Array<Wanted>>`
    select id, entity, entity_id, scope, op, xid::text, after::text, count(*) over (partition by xid)::int as count from tide.outbox order by id`
  const messages = await wholeLog(log)
  const wrong: Array<string> = []
  const bySubject = <A>(values: ReadonlyArray<A>, subject: (value: A) => string, text: (value: A) => string) => {
    const map = new Map<string, Array<string>>()
    for (const value of values) {
      const key = subject(value)
      const list = map.get(key)
      if (list === undefined) map.set(key, [text(value)])
      else list.push(text(value))
    }
    return map
  }
  const wanted = bySubject(rows, (r) => changeSubject({ scope: r.scope, entity: r.entity, id: r.entity_id }), (r) => `${r.op} ${r.xid} of ${r.count} ${r.after ?? ""}`)
  const subjectOf = (r: Wanted): string => changeSubject({ scope: r.scope, entity: r.entity, id: r.entity_id })
  const byId = new Map(rows.map((row) => [row.id, row]))
  // What stands in the place of a row that was set aside counts as the row.
  const standsFor = (m: LogMessage): Wanted | undefined => (m.address.entity === "_aside" ? byId.get(m.address.id) : undefined)
  const found = bySubject(
    messages,
    (m) => {
      const row = standsFor(m)
      return row === undefined ? m.subject : subjectOf(row)
    },
    (m) => `${standsFor(m)?.op ?? m.operation} ${m.transaction.xid} of ${m.transaction.count} ${standsFor(m) === undefined ? m.body : (standsFor(m)!.after ?? "")}`,
  )
  if (rows.length !== messages.length) wrong.push(`${rows.length} rows, ${messages.length} messages`)
  for (const subject of new Set([...wanted.keys(), ...found.keys()])) {
    const [should, is] = [wanted.get(subject) ?? [], found.get(subject) ?? []]
    if (should.join("\n") !== is.join("\n")) wrong.push(`${subject}: should be\n  ${should.join("\n  ")}\nand is\n  ${is.join("\n  ")}`)
  }
  let expected = 1
  for (const [i, { transaction, seq }] of messages.entries()) {
    const same = i > 0 && messages[i - 1]!.transaction.xid === transaction.xid
    if (same ? transaction.position !== expected + 1 : transaction.position !== 1) wrong.push(`at ${seq} transaction ${transaction.xid} is at ${transaction.position}`)
    if (!same && i > 0 && messages[i - 1]!.transaction.position !== messages[i - 1]!.transaction.count) wrong.push(`before ${seq} a transaction is not whole`)
    expected = transaction.position
  }
  return wrong.slice(0, 5)
}

/** Waits until STATE has what CHANGES has. A mirror whose origin was lost and made again looks for it every ten seconds or so. */
export const mirrored = async (log: Log): Promise<void> => {
  await until(async () => {
    const { last, state } = await log.head()
    return state === last
  }, { what: "STATE follows", deadline: 40_000, every: 50 })
}

/** The live rows of an entity in STATE as `<scope> <body>`, in order. */
export const stateOf = async (log: Log, entity: string): Promise<ReadonlyArray<string>> => {
  await mirrored(log)
  const rows: Array<string> = []
  const page = (messages: ReadonlyArray<LogMessage>): void => {
    for (const message of messages) if (message.body !== "") rows.push(`${message.address.scope} ${message.body}`)
  }
  await log.readState({ patterns: [{ entity, scope: null, id: null }], after: 0, page })
  return rows.toSorted()
}

/** Waits until the stream has as many changes as the outbox has rows. */
export const caughtUp = async (sql: Sql, log: Log, deadline = 30_000): Promise<void> => {
  await until(
    async () => {
      const [row] = await sql<Array<{ count: string }>>`select count(*) from tide.outbox`
      const { first, last } = await log.head()
      // Epochs count among the messages: enough of them is not yet enough.
      return last - first + 1 >= Number(row!.count) && (await wholeLog(log)).length >= Number(row!.count)
    },
    { what: "the stream has every outbox row", deadline, every: 100 },
  )
}
