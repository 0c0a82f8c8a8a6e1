import type { Check } from "./check.ts"

export const acknowledged: Check = {
  name: "acknowledged",
  promise: "every transaction whose writer was told that it is committed is in the outbox",
  begin: () => (evidence) => {
    const there = new Set(evidence.rows.map((row) => row.mutation))
    return evidence.acknowledged.filter((transaction) => !there.has(transaction)).map((transaction) => `${transaction} was acknowledged and is not in the outbox`)
  },
}
