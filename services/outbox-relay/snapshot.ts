/** A Postgres snapshot as text, `xmin:xmax:xip,xip…`: which transactions had ended. */

/** The snapshot that sees nothing: where a relay without a cursor begins. */
export const NOTHING_SEEN = "1:1:"

export interface Snapshot {
  /** Every transaction below had ended. */
  readonly xmin: bigint
  /** No transaction from here on had begun. */
  readonly xmax: bigint
  /** Those between that were under way. */
  readonly running: ReadonlyArray<bigint>
}

const shape = /^(\d{1,20}):(\d{1,20}):((?:\d{1,20}(?:,\d{1,20})*)?)$/

/** The snapshot that `text` spells, or null where it is none. */
export const parseSnapshot = (text: string): Snapshot | null => {
  const match = shape.exec(text)
  if (match === null) return null
  const running = match[3] === "" ? [] : match[3]!.split(",").map(BigInt)
  return { xmin: BigInt(match[1]!), xmax: BigInt(match[2]!), running }
}

/** Whether the transaction had ended when the snapshot was taken. */
export const sees = (snapshot: Snapshot, xid: bigint): boolean => xid < snapshot.xmin || (xid < snapshot.xmax && !snapshot.running.includes(xid))

/** The snapshot that sees what both see. */
export const meet = (a: string, b: string): string => {
  const [one, other] = [parseSnapshot(a)!, parseSnapshot(b)!]
  const xmax = one.xmax < other.xmax ? one.xmax : other.xmax
  return format(xmax, [...one.running, ...other.running])
}

/** The snapshot that sees what `text` does of the transactions up to `xid`. */
export const upTo = (text: string, xid: bigint): string => {
  const { xmax, running } = parseSnapshot(text)!
  return xid + 1n >= xmax ? text : format(xid + 1n, running)
}

const format = (xmax: bigint, running: ReadonlyArray<bigint>): string => {
  const below = [...new Set(running)].filter((xid) => xid < xmax).toSorted((a, b) => (a < b ? -1 : 1))
  return `${below[0] ?? xmax}:${xmax}:${below.join(",")}`
}
