/** Who leads when tabs come, go, and freeze. */
import { afterEach, expect, test } from "vitest"
import type { Leadership } from "./leader.ts"
import { runForLeader } from "./leader.ts"
import { turn, until } from "./testing/until.ts"

const opened: Array<Leadership> = []
afterEach(async () => {
  for (const leadership of opened.splice(0)) leadership.close()
  await turn()
})

let elections = 0
const candidates = (count: number) => {
  const name = `election ${elections++}`
  const log: Array<string> = []
  const tabs = Array.from({ length: count }, (_, n) => {
    const leadership = runForLeader({ name, locks: navigator.locks, onLead: () => log.push(`${n} leads`), onLose: () => log.push(`${n} lost`) })
    opened.push(leadership)
    return leadership
  })
  return { log, tabs }
}

test("one leads; when it closes, the next in line does", async () => {
  const { log, tabs } = candidates(3)
  await until(() => log.length === 1)
  expect(log).toEqual(["0 leads"])
  tabs[1]!.close()
  tabs[0]!.close()
  await until(() => log.length === 2)
  expect(log).toEqual(["0 leads", "2 leads"])
})

test("a leader that does not answer is passed by, and stands in line again", async () => {
  const { log, tabs } = candidates(2)
  await until(() => log.length === 1)
  tabs[1]!.take()
  await until(() => log.length === 3)
  expect(new Set(log.slice(1))).toEqual(new Set(["1 leads", "0 lost"]))
  tabs[1]!.close()
  await until(() => log.length === 4)
  expect(log.at(-1)).toBe("0 leads")
})

test("to take what one has changes nothing, and who has closed takes nothing", async () => {
  const { log, tabs } = candidates(2)
  await until(() => log.length === 1)
  tabs[0]!.take()
  tabs[1]!.close()
  tabs[1]!.take()
  await turn()
  expect(log).toEqual(["0 leads"])
})

test("without Web Locks each tab leads for itself", () => {
  const log: Array<string> = []
  for (const n of [1, 2]) runForLeader({ name: "x", locks: undefined, onLead: () => log.push(`${n} leads`), onLose: () => {} })
  expect(log).toEqual(["1 leads", "2 leads"])
})
