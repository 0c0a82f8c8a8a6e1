/**
 * A model of what Postgres promises to concurrent transactions, for the tests of the order argument: row locks held to the end, transaction ids
 * assigned by the first write, outbox ids drawn after the locks of a statement, snapshots, savepoints that give locks back,
 * READ COMMITTED and REPEATABLE READ (a writer that meets a newer version is given up), prepared transactions. Time is a counter.
 */
import type { OutboxRow } from "./row.ts"

export type Isolation = "read committed" | "repeatable read"

interface Savepoint {
  readonly rows: number
  readonly locks: ReadonlySet<string>
  readonly causes: ReadonlySet<Transaction>
  readonly lastDraw: number
}

export interface Transaction {
  readonly name: string
  readonly isolation: Isolation
  /** Assigned with the first write. */
  xid: bigint | null
  readonly locks: Set<string>
  readonly rows: Array<OutboxRow>
  readonly savepoints: Array<Savepoint>
  /** Of the statement under way: locked, and their outbox ids not drawn yet. */
  statement: ReadonlyArray<string>
  /** Whose commits it has seen. */
  readonly seen: Set<Transaction>
  /** Whose commits it had seen when it drew the last outbox id that it kept: what it wrote may come from them. */
  causes: ReadonlySet<Transaction>
  /** Of REPEATABLE READ: what was committed when its first statement began. */
  snapshot: number | null
  lastDraw: number
  ended: number
  state: "open" | "prepared" | "committed" | "aborted"
}

export class PostgresModel {
  private nextXid = 100n
  private nextId = 1
  private now = 0
  readonly transactions: Array<Transaction> = []
  /** In commit order. */
  readonly committed: Array<Transaction> = []
  /** What happened, for a failure's message. */
  readonly trace: Array<string> = []

  private note(text: string): void {
    this.now++
    this.trace.push(text)
  }

  begin(isolation: Isolation): void {
    const name = `T${this.transactions.length + 1}`
    this.note(`${name} begins (${isolation})`)
    this.transactions.push({
      name, isolation, xid: null, locks: new Set(), rows: [], savepoints: [], statement: [], seen: new Set(), causes: new Set(), snapshot: null, lastDraw: 0, ended: 0, state: "open",
    })
  }

  open(): ReadonlyArray<Transaction> {
    return this.transactions.filter((t) => t.state === "open")
  }

  prepared(): ReadonlyArray<Transaction> {
    return this.transactions.filter((t) => t.state === "prepared")
  }

  /** What a statement of the transaction sees of what others committed. */
  private visible(transaction: Transaction): ReadonlyArray<Transaction> {
    if (transaction.isolation === "read committed") return this.committed
    transaction.snapshot ??= this.committed.length
    return this.committed.slice(0, transaction.snapshot)
  }

  /** The newest version of the entity that it sees. */
  read(transaction: Transaction, entity: string): void {
    const writer = this.visible(transaction).findLast((t) => t.rows.some((row) => row.entity === entity))
    this.note(`${transaction.name} reads ${entity} (${writer?.name ?? "nothing"})`)
    if (writer !== undefined) transaction.seen.add(writer)
  }

  /** A statement takes the locks of what it changes. Where another holds one it does nothing: as if it had not been sent yet. */
  lock(transaction: Transaction, entities: ReadonlyArray<string>): void {
    const busy = (entity: string): boolean => this.transactions.some((t) => t !== transaction && (t.state === "open" || t.state === "prepared") && t.locks.has(entity))
    if (entities.some(busy)) return
    this.note(`${transaction.name} locks ${entities.join(" ")}`)
    const visible = this.visible(transaction)
    for (const entity of entities) {
      const newest = this.committed.findLast((t) => t.rows.some((row) => row.entity === entity))
      if (newest !== undefined && !visible.includes(newest)) return this.end(transaction, "aborted")
      if (newest !== undefined) transaction.seen.add(newest)
      transaction.locks.add(entity)
    }
    transaction.xid ??= this.nextXid++
    transaction.statement = entities
  }

  /** The statement's trigger writes the outbox rows. */
  finish(transaction: Transaction): void {
    for (const entity of transaction.statement) {
      const id = this.nextId++
      this.note(`${transaction.name} draws ${id} for ${entity}`)
      transaction.rows.push({
        id, xid: String(transaction.xid), entity, entityId: entity, scope: null, op: "UPDATE", after: "{}", before: null, at: "", user: null, mutation: null, trace: null, tx: 0, count: 0,
      })
      transaction.lastDraw = this.now
      transaction.causes = new Set(transaction.seen)
    }
    transaction.statement = []
  }

  savepoint(transaction: Transaction): void {
    this.note(`${transaction.name} savepoint`)
    transaction.savepoints.push({ rows: transaction.rows.length, locks: new Set(transaction.locks), causes: transaction.causes, lastDraw: transaction.lastDraw })
  }

  /** Its rows are never seen, their ids are gone, and the locks taken since are free. The transaction id stays. */
  rollBack(transaction: Transaction): void {
    const to = transaction.savepoints.pop()
    if (to === undefined) return
    this.note(`${transaction.name} rolls back to its savepoint`)
    transaction.rows.splice(to.rows)
    transaction.causes = to.causes
    transaction.lastDraw = to.lastDraw
    for (const lock of transaction.locks) if (!to.locks.has(lock)) transaction.locks.delete(lock)
    transaction.statement = []
  }

  prepare(transaction: Transaction): void {
    this.finish(transaction)
    this.note(`${transaction.name} is prepared`)
    transaction.state = "prepared"
  }

  end(transaction: Transaction, state: "committed" | "aborted"): void {
    if (state === "committed") this.finish(transaction)
    this.note(`${transaction.name} ${state}`)
    transaction.state = state
    transaction.ended = this.now
    if (state === "committed" && transaction.rows.length > 0) this.committed.push(transaction)
  }

  snapshot(): string {
    const running = [...this.open(), ...this.prepared()].flatMap((t) => (t.xid === null ? [] : [t.xid])).sort((a, b) => (a < b ? -1 : 1))
    const text = `${running[0] ?? this.nextXid}:${this.nextXid}:${running.join(",")}`
    this.note(`snapshot ${text}`)
    return text
  }

  rows(): ReadonlyArray<OutboxRow> {
    return this.committed.flatMap((t) => t.rows)
  }
}
