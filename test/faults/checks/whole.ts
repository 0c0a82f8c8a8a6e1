import type { Check } from "./check.ts"
import { changes } from "./pair.ts"

export const whole: Check = {
  name: "whole",
  promise: "transactions are whole: all changes of one, one after the other, numbered from 1 to their count",
  begin: () => {
    let open: { readonly xid: string; readonly position: number; readonly count: number } | null = null
    let began = false
    return ({ rows, messages }, { shortened }) => {
      const wrong: Array<string> = []
      const counts = new Map<string, number>()
      for (const { xid } of rows) counts.set(xid, (counts.get(xid) ?? 0) + 1)
      for (const { seq, transaction } of changes(messages)) {
        const { xid, position, count } = transaction
        // The first part of the first transaction may be in STATE alone, where CHANGES was made anew in the middle of it.
        if (counts.has(xid) && counts.get(xid) !== count) wrong.push(`message ${seq}: transaction ${xid} has ${counts.get(xid)} changes and says ${count}`)
        if (open !== null && open.position < open.count) {
          if (xid !== open.xid || position !== open.position + 1) wrong.push(`message ${seq} is change ${position} of transaction ${xid} and follows change ${open.position} of ${open.count} of ${open.xid}`)
        } else if (position !== 1 && (began || !shortened)) wrong.push(`message ${seq}: transaction ${xid} begins with change ${position} of ${count}`)
        open = transaction
        began = true
      }
      if (open !== null && open.position < open.count) {
        wrong.push(`the stream ends with change ${open.position} of ${open.count} of transaction ${open.xid}`)
        open = null
      }
      return wrong
    }
  },
}
