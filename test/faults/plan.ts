/** What comes next: the kind that had its turn least beside its weight, at the step that had it least; equal ones by chance. Pure. */
import type { Random } from "#test/support/random.ts"
import type { FaultKind } from "./kinds/kind.ts"
import type { Step } from "./steps/step.ts"

export interface Choice {
  readonly kind: FaultKind
  readonly step: Step
}

export interface Plan {
  readonly next: () => Choice
  /** Every kind, and every step that one of them may strike at, had a turn. */
  readonly covered: () => boolean
}

export const makePlan = (kinds: ReadonlyArray<FaultKind>, steps: ReadonlyArray<Step>, random: Random): Plan => {
  const kindTurns = new Map<FaultKind, number>()
  const stepTurns = new Map<Step, number>()
  const turns = <A>(map: Map<A, number>, key: A): number => map.get(key) ?? 0
  const least = <A>(from: ReadonlyArray<A>, cost: (value: A) => number): A => {
    const lowest = Math.min(...from.map(cost))
    return random.pick(from.filter((value) => cost(value) === lowest))
  }
  const possible = steps.filter((step) => kinds.some((kind) => kind.at(step)))
  return {
    next: () => {
      const kind = least(kinds, (each) => turns(kindTurns, each) / (each.weight ?? 1))
      const step = least(steps.filter(kind.at), (each) => turns(stepTurns, each))
      kindTurns.set(kind, turns(kindTurns, kind) + 1)
      stepTurns.set(step, turns(stepTurns, step) + 1)
      return { kind, step }
    },
    covered: () => kinds.every((kind) => kindTurns.has(kind)) && possible.every((step) => stepTurns.has(step)),
  }
}
