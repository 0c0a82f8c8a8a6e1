/** Small transactions of every kind over few rows: upserts, deletions, moves between scopes, savepoints; some undone, some long and idle. */
import { setTimeout as after } from "node:timers/promises"
import type { Writer } from "./writer.ts"
import { transact, Undone } from "./writer.ts"

const ROWS = 60
const SCOPES = 3
/** Milliseconds from a patient writer's last row to its commit, whoever waits for it. */
const LATE_MS = 700

/** `patient`: it leaves its transactions open for up to a second. */
export const smallWriter = (name: string, patient: boolean): Writer => ({
  name,
  every: patient ? 200 : 40,
  once: (turn) =>
    transact(turn, async (tx) => {
      const { random, pause } = turn
      for (let i = random.int(6); i >= 0; i--) {
        const id = random.int(ROWS)
        const project = `p${random.int(SCOPES)}`
        const upsert = () => tx`insert into fault.item values (${id}, ${project}, 1) on conflict (id) do update set v = item.v + 1`
        const dice = i === 0 ? 0 : random.int(20)
        if (dice < 10) await upsert()
        else if (dice < 13) await tx`delete from fault.item where id = ${id}`
        else if (dice < 17) await tx`update fault.item set project = ${project}, v = v + 1 where id = ${id}`
        else await tx.savepoint(async (sp) => {
          await sp`update fault.item set v = v + 100 where id % 7 = ${id % 7}`
          if (random.chance(0.6)) throw new Undone()
        }).catch((cause: unknown) => (cause instanceof Undone ? undefined : Promise.reject(cause)))
        if (patient) await pause(random.int(500))
      }
      // It does not hurry at the end: its commit may come long after a relay has fallen asleep.
      if (patient && random.chance(0.5)) {
        await after(LATE_MS)
        await pause(0)
      }
      if (random.chance(0.1)) throw new Undone()
    }),
})
