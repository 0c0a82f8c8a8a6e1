import type { Epoch } from "#protocol/epoch.ts"
import type { Check } from "./check.ts"
import { epochs as epochMessages } from "./pair.ts"

const numberOf = (epoch: Epoch | null): number => (epoch === null ? 0 : Number.parseInt(epoch.id, 10))

export const epochs: Check = {
  name: "epochs",
  promise: "an epoch is opened where something acknowledged was lost, and nowhere else",
  lasting: true,
  begin: () => {
    let known: Epoch | null = null
    return ({ messages, losses }) => {
      const wrong: Array<string> = []
      const opened: Array<Epoch> = []
      for (const { seq, body } of epochMessages(messages)) {
        const epoch = JSON.parse(body) as Epoch
        // Read again, or said several times: to get past its mirror's end.
        if (numberOf(epoch) <= numberOf(known)) continue
        if (epoch.firstSeq !== seq) wrong.push(`epoch ${epoch.id} says it begins at ${epoch.firstSeq}, and is at ${seq}`)
        // One whose opening was cut off has its number, though the stream never had it.
        const previous = epoch.previous === null ? 0 : Number.parseInt(epoch.previous, 10)
        if (known !== null && epoch.previous !== known.id && (previous <= numberOf(known) || previous !== numberOf(epoch) - 1)) wrong.push(`epoch ${epoch.id} says it follows ${epoch.previous}, and follows ${known.id}`)
        opened.push(epoch)
        known = epoch
      }
      if (opened.length < losses.least) wrong.push(`${losses.least} times something was lost, ${opened.length} epochs were opened`)
      if (opened.length > losses.most) wrong.push(`${opened.length} epochs where at most ${losses.most} had a reason: ${opened.map((epoch) => epoch.reason).join("; ")}`)
      return wrong
    }
  },
}
