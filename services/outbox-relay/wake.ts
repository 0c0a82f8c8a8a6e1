/**
 * When to look at the outbox. Three states:
 *
 * - **awake**: so many transactions come that their notifications would cost the writers (each takes a database-wide lock at commit). The
 *   relay holds the wake lock, so writers do not notify it, and looks on its own.
 * - **drowsy**: it has let go of the lock. Writers that begin from now on notify; those that began before may have found the lock taken,
 *   so it keeps looking until every transaction with a lower id than one of its own, taken after letting go, has ended. (A snapshot's
 *   xmax would not do: it is one above the highest id that has *ended*, and a writer under way may have that very id or a higher one.)
 * - **asleep**: a notification comes for every change, and there is a look for each. One look in half a minute stands against a lost one.
 *
 * A notification is only a hint: looking alone would be right, and slow. Where the server allows prepared transactions, looking is all there is: a
 * transaction that notified cannot be prepared, so nobody notifies (tide.wake_relay), and the relay stays drowsy. Where no relay is present nobody
 * notifies either, so that a relay that is down costs writers nothing: before it may sleep it shows that it is there, by a lock it then keeps.
 */
import type { Sql } from "#db/postgres.ts"
import { RELAY_ASLEEP_MS, RELAY_BUSY, RELAY_CALM, RELAY_DROWSY_MS, RELAY_LOOK_MS, RELAY_RATE_MS } from "#protocol/limits.ts"
import type { Bell } from "./bell.ts"
import { parseSnapshot } from "./snapshot.ts"

export type Wakefulness = "awake" | "drowsy" | "asleep"

export interface Waker {
  readonly state: () => Wakefulness
  /** Resolves when it is time to look again. `found`: how many transactions the last look found; `window`: the snapshot it saw. */
  readonly next: (found: number, window: string) => Promise<void>
  /** The last look found more than it could take. */
  readonly flooded: () => Promise<void>
}

/** `session` holds the lock, and loses it when it ends; writers' notifications ring the bell. */
export const waker = (session: Sql, bell: Bell): Waker => {
  let state: Wakefulness = "drowsy"
  /** Holds the lock that says so: writers that looked for it before did not notify. */
  let present = false
  /** Transactions with lower ids may not know that the relay does not hold the wake lock, or that it is present. Null until it was noted. */
  let old: bigint | null = null
  /** Whether writers notify at all. */
  let notified = false
  let pause = 1
  /** Transactions found since then. */
  let found = 0
  let since = performance.now()

  const wakeUp = async (): Promise<void> => {
    // Only tried: a writer whose statement is cut off between taking and giving back the lock keeps it for as long as its session lasts.
    const [took] = await session<Array<{ got: boolean }>>`select pg_try_advisory_lock(tide.wake_key()) as got`
    if (took!.got) state = "awake"
  }

  const letGo = async (): Promise<void> => {
    await session`select pg_advisory_unlock(tide.wake_key())`
    state = "drowsy"
    old = null
    pause = 1
  }

  return {
    state: () => state,
    flooded: async () => {
      found = RELAY_BUSY
      if (state !== "awake") await wakeUp()
    },
    next: async (now, window) => {
      if (performance.now() - since >= RELAY_RATE_MS) {
        const calm = found < RELAY_CALM
        since = performance.now()
        found = 0
        if (state === "awake" && calm) return letGo()
      }
      found += now
      if (now > 0) {
        pause = 1
        if (state !== "awake" && found >= RELAY_BUSY) await wakeUp()
        // Whoever commits after the look that a sleeper just had rings.
        if (state !== "asleep") return
      }
      if (state === "drowsy") {
        if (!present) {
          const [took] = await session<Array<{ got: boolean }>>`select pg_try_advisory_lock(tide.present_key()) as got`
          present = took!.got
          old = null
        }
        if (old === null) {
          const [own] = await session<Array<{ xid: string; notified: boolean }>>`
            select pg_current_xact_id()::text as xid, current_setting('max_prepared_transactions') = '0' as notified`
          old = BigInt(own!.xid)
          notified = own!.notified
        } else if (present && notified && parseSnapshot(window)!.xmin >= old) state = "asleep"
      }
      const wait = state === "asleep" ? RELAY_ASLEEP_MS : state === "awake" ? RELAY_LOOK_MS : pause
      if (state === "drowsy") pause = Math.min(pause * 2, RELAY_DROWSY_MS)
      await bell.wait(wait)
    },
  }
}
