/**
 * A connection to a Postgres that may die at any moment. The driver's own `begin` answers a loss with a ROLLBACK on the connection that is
 * gone, and that ends the process (postgres.js #1208); here a transaction refuses every statement after a loss instead.
 */
import postgres from "postgres"
import type { Sql, TransactionSql } from "postgres"

/** One connection, unless `max` says more; with one it also has `begin`. `lost` hears of each loss. */
export const openConnection = (url: string, name: string, lost: () => void = () => undefined, max = 1): Sql => {
  let losses = 0
  const sql = postgres(url, {
    max,
    onnotice: () => {},
    backoff: () => 0.1,
    connection: { application_name: `faults ${name}`, TimeZone: "UTC" },
    onclose: () => {
      losses++
      lost()
    },
  })
  const begin = async <A>(work: (tx: TransactionSql) => Promise<A>): Promise<A> => {
    await sql.unsafe("begin")
    const before = losses
    const whole = (): void => {
      if (losses > before) throw new Error("the connection was lost")
    }
    const guarded = <V extends ReadonlyArray<never>>(run: (...values: V) => unknown) => (...values: V): unknown => {
      whole()
      return run(...values)
    }
    let savepoints = 0
    const savepoint = async (inner: (tx: TransactionSql) => Promise<unknown>): Promise<unknown> => {
      const name = `s${savepoints++}`
      await tx.unsafe(`savepoint ${name}`)
      try {
        return await inner(tx)
      } catch (cause) {
        await tx.unsafe(`rollback to ${name}`)
        throw cause
      }
    }
    const tx = Object.assign(guarded(sql as (...values: ReadonlyArray<never>) => unknown), { unsafe: guarded(sql.unsafe as (...values: ReadonlyArray<never>) => unknown), savepoint }) as unknown as TransactionSql
    try {
      const result = await work(tx)
      await tx.unsafe("commit")
      whole()
      return result
    } catch (cause) {
      if (losses === before) await sql.unsafe("rollback").catch(() => undefined)
      throw cause
    }
  }
  return max === 1 ? Object.assign(sql, { begin }) as unknown as Sql : sql
}
