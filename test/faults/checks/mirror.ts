import type { Check } from "./check.ts"

export const mirror: Check = {
  name: "mirror",
  promise: "STATE ends where CHANGES ends, and has the newest change of each entity under its sequence there",
  begin: () => {
    const newest = new Map<string, number>()
    return ({ messages, state, head }) => {
      const wrong = head.state === head.last ? [] : [`STATE ends at ${head.state}, CHANGES at ${head.last}`]
      const touched = new Set<string>()
      for (const { subject, seq } of messages) {
        newest.set(subject, seq)
        touched.add(subject)
      }
      for (const { subject, seq } of state) {
        touched.delete(subject)
        if (newest.has(subject) && newest.get(subject) !== seq) wrong.push(`${subject} is at ${seq} in STATE, its newest change at ${newest.get(subject)}`)
      }
      for (const subject of touched) wrong.push(`${subject} changed at ${newest.get(subject)}, STATE has nothing of it`)
      return wrong
    }
  },
}
