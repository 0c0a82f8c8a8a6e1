import type { Check } from "./check.ts"

export const relays: Check = {
  name: "relays",
  promise: "exactly one relay is active and holds the lease, the other stands by, both are ready; none ended by itself; all went on in time",
  begin: () => ({ relays, leases, complaints }) => {
    const wrong = [...complaints]
    const active = relays.filter((relay) => relay.active).map((relay) => relay.name)
    if (active.length !== 1) wrong.push(`${active.length} relays are active`)
    if (leases !== 1) wrong.push(`${leases} sessions hold the lease`)
    for (const { name, reasons } of relays) {
      if (reasons === null) wrong.push(`relay ${name} does not answer`)
      else if (reasons.length > 0) wrong.push(`relay ${name} is not ready: ${reasons.join("; ")}`)
    }
    return wrong
  },
}
