/**
 * Where a card stands in its column: a number between its neighbours', so that one move changes one row. Doubles run out after
 * some fifty moves into the same gap, and two people may have made equal ones offline: then the nearest few cards are spread anew.
 */

/** The distance between cards that have room. */
const STEP = 1
/** Gaps smaller than this are not halved any more; far above what a double of any sane size can tell apart. */
const TIGHT = 1e-6

export interface Placing {
  /** The moved card's position. */
  readonly position: number
  /** New positions of others, by their index in the column without the moved card. Mostly empty. */
  readonly others: ReadonlyMap<number, number>
}

/** Puts a card before the `index`-th of a column's ascending positions (the moved card left out). */
export const place = (positions: ReadonlyArray<number>, index: number): Placing => {
  const before = positions[index - 1]
  const after = positions[index]
  if (before === undefined) return { position: after === undefined ? STEP : after - STEP, others: new Map() }
  if (after === undefined) return { position: before + STEP, others: new Map() }
  if (after - before > TIGHT) return { position: (before + after) / 2, others: new Map() }
  return spread(positions, index)
}

/** Widens a window around the gap until what stands in it, and the moved card, have room between its two fixed ends. */
const spread = (positions: ReadonlyArray<number>, index: number): Placing => {
  let first = index
  let last = index // the window is positions[first..last), without its fixed neighbours
  for (;;) {
    if (first > 0) first--
    if (last < positions.length) last++
    const low = positions[first - 1]
    const high = positions[last]
    const count = last - first + 1
    const open = low === undefined || high === undefined
    if (!open && (high - low) / (count + 1) <= TIGHT * 16) continue
    const gap = open ? STEP : (high - low) / (count + 1)
    const start = low ?? (high === undefined ? (positions[first] ?? 0) - STEP : high - gap * (count + 1))
    const others = new Map<number, number>()
    let slot = 1
    for (let i = first; i < index; i++) others.set(i, start + gap * slot++)
    const position = start + gap * slot++
    for (let i = index; i < last; i++) others.set(i, start + gap * slot++)
    return { position, others }
  }
}
