import { describe, expect, it } from "vitest"
import type { LogMessage } from "#nats/log.ts"
import type { Commit } from "../../demo/history/commits.ts"
import { areaOf } from "../../demo/history/commits.ts"
import { streamFaults } from "./whole-stream.ts"

const commits: ReadonlyArray<Commit> = [
  { commit: "a", at: 1, author: 1, files: [["c", "x/y/1", 1, 0], ["c", "x/y/2", 1, 0]] },
  { commit: "b", at: 2, author: 2, files: [["u", "x/y/1", 1, 0], ["u", "z", 1, 0]] },
  { commit: "c", at: 3, author: 1, files: [["d", "x/y/2", 0, 1]] },
]

const event = (seq: number, xid: string, place: string, operation: LogMessage["operation"], id: string, user: string): LogMessage => {
  const [position, count] = place.split("/").map(Number)
  return {
    seq, subject: "", address: { entity: "file", scope: areaOf(id), id }, operation, body: "", at: "", user, mutation: null, trace: null, before: null,
    transaction: { xid, position: position!, count: count! }, storedAt: 0,
  }
}

const whole = [
  event(1, "7", "1/2", "INSERT", "x/y/1", "author-1"),
  event(2, "7", "2/2", "INSERT", "x/y/2", "author-1"),
  event(3, "8", "1/2", "INSERT", "z", "author-2"),
  event(4, "8", "2/2", "UPDATE", "x/y/1", "author-2"),
  event(6, "9", "1/1", "DELETE", "x/y/2", "author-1"),
]

describe("the stream's faults", () => {
  it("are none where each change stands once, in order, in whole commits", () => {
    expect(streamFaults(whole, commits)).toEqual([])
  })

  it.each([
    ["a change is missing", whole.toSpliced(3, 1)],
    ["a change stands twice", whole.toSpliced(4, 0, { ...whole[3]!, seq: 5 })],
    ["a commit stands twice", [...whole, { ...whole[4]!, seq: 7 }]],
    ["a commit is missing", whole.slice(0, 4)],
    ["commits are out of order", [whole[2]!, whole[3]!, whole[0]!, whole[1]!, whole[4]!]],
    ["another event stands within a commit", whole.with(3, { ...whole[3]!, seq: 5 })],
    ["an operation is wrong", whole.with(4, { ...whole[4]!, operation: "UPDATE" })],
    ["a scope is wrong", whole.with(4, { ...whole[4]!, address: { ...whole[4]!.address, scope: "x" } })],
    ["an author is wrong", whole.with(4, { ...whole[4]!, user: null })],
  ])("are found where %s", (_, events) => {
    expect(streamFaults(events, commits)).not.toEqual([])
  })
})
