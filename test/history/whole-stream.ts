/** Holds CHANGES against the history that was played: every listed change once, in order, every commit whole. */
import type { Log, LogMessage } from "#nats/log.ts"
import type { Commit } from "../../demo/history/commits.ts"
import { areaOf } from "../../demo/history/commits.ts"

/** Milliseconds to read it all. */
const READ_MS = 60_000

/** Every event of an entity type, in the stream's order. */
export const eventsOf = async (log: Log, entity: string): Promise<ReadonlyArray<LogMessage>> => {
  const { first, last } = await log.head()
  const messages: Array<LogMessage> = []
  const broken: Array<string> = []
  const following = await log.follow({
    from: first,
    patterns: [{ scope: null, entity, id: null }],
    message: (message) => void messages.push(message),
    event: (event) => void (event.type === "reset" || event.type === "unreadable" ? broken.push(JSON.stringify(event)) : 0),
  })
  await following.reach(last, READ_MS)
  await following.stop()
  return broken.length === 0 ? messages.filter((message) => message.seq <= last) : Promise.reject(new Error(`the stream cannot be read whole: ${broken.join()}`))
}

/** What each commit must have left: one line a change, in no order within the commit. */
const expected = (commits: ReadonlyArray<Commit>): ReadonlyArray<ReadonlyArray<string>> => {
  const there = new Set<string>()
  return commits.map(({ author, files }) =>
    files
      .map(([op, path]) => {
        const operation = op === "d" ? "DELETE" : there.has(path) ? "UPDATE" : "INSERT"
        if (op === "d") there.delete(path)
        else there.add(path)
        return line(operation, areaOf(path), path, `author-${author}`)
      })
      .sort(),
  )
}

const line = (operation: string, scope: string | null, path: string, user: string | null): string => `${operation} ${scope} ${path} by ${user}`

/**
 * What is wrong with the stream, in words; nothing where it is as it must be. The player commits one after the other, so the
 * commits must stand in its order too.
 */
export const streamFaults = (events: ReadonlyArray<LogMessage>, commits: ReadonlyArray<Commit>): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const transactions: Array<Array<LogMessage>> = []
  for (const event of events) {
    const open = transactions.at(-1)
    if (open !== undefined && open[0]!.transaction.xid === event.transaction.xid) open.push(event)
    else transactions.push([event])
  }
  for (const members of transactions) {
    const { xid, count } = members[0]!.transaction
    const places = members.map((m) => m.transaction.position)
    if (members.length !== count || places.some((place, i) => place !== i + 1)) faults.push(`transaction ${xid} of ${count} came as ${places.join(", ")}`)
    if (members.at(-1)!.seq - members[0]!.seq !== members.length - 1) faults.push(`transaction ${xid} is not in one piece`)
  }
  if (transactions.length !== commits.length) faults.push(`${transactions.length} transactions for ${commits.length} commits`)
  for (const [i, want] of expected(commits).entries()) {
    const got = (transactions[i] ?? []).map((m) => line(m.operation, m.address.scope, m.address.id, m.user)).sort()
    if (got.join("\n") !== want.join("\n")) {
      faults.push(`commit ${i + 1} (${commits[i]!.commit}) should be ${want.slice(0, 3).join("; ")}…, is ${got.slice(0, 3).join("; ")}…`)
      if (faults.length > 5) break
    }
  }
  return faults
}
