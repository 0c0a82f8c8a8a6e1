import type { Check } from "./check.ts"

export const order: Check = {
  name: "order",
  promise: "the changes of an entity are in the order of their commits",
  begin: () => {
    /** Per subject the outbox id of its newest change: a row's lock puts them in the order of commits. */
    const newest = new Map<string, number>()
    return (_, { pairs }) => {
      const wrong: Array<string> = []
      for (const { message, row } of pairs) {
        if (row === null) continue
        const before = newest.get(row.subject) ?? 0
        if (row.id < before) wrong.push(`message ${message.seq} of ${row.subject} is outbox row ${row.id} and follows row ${before}`)
        newest.set(row.subject, row.id)
      }
      return wrong
    }
  },
}
