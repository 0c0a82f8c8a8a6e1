import { expect, it } from "vitest"
import type { FollowEvent } from "#nats/log.ts"
import { memoryLog } from "#nats/log-memory.ts"
import { logContract } from "#test/contract/log.ts"
import { until } from "#test/support/until.ts"

logContract("the log in memory", async () => {
  const log = memoryLog()
  return { log, append: async (...changes) => log.append(...changes), stop: () => Promise.resolve() }
})

const note = (id: string) => ({ scope: null, entity: "note", id })

it("tells a follower that what it was given is lost", async () => {
  const log = memoryLog()
  log.append(note("a"), note("b"), note("c"))
  const events: Array<FollowEvent> = []
  await log.follow({ from: 1, message: () => {}, event: (e) => events.push(e) })
  await until(() => events.length === 1, { what: "the follower is live" })
  log.loseAfter(1)
  log.append(note("d"), note("e"), note("f"))
  await until(() => events.length === 2, { what: "a reset" })
  expect(events[1]).toMatchObject({ type: "reset", reason: "lost", position: 3 })
})

it("tells a follower that what comes next is no longer held", async () => {
  const log = memoryLog()
  log.append(note("a"))
  const events: Array<FollowEvent> = []
  await log.follow({ from: 1, message: () => {}, event: (e) => events.push(e) })
  await until(() => events.length === 1, { what: "the follower is live" })
  log.setAvailable(false)
  log.append(note("b"), note("c"))
  log.trimBefore(3)
  log.setAvailable(true)
  await until(() => events.length === 2, { what: "a reset" })
  expect(events[1]).toMatchObject({ type: "reset", reason: "trimmed", position: 1 })
})
