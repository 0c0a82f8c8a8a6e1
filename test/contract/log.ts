/** What every log must do, whoever keeps it: `logContract` runs the same tests over the memory log and over JetStream. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { FollowEvent, Log, LogMessage } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import type { AppendedChange } from "#test/support/append.ts"
import { until } from "#test/support/until.ts"

export interface LogFixture {
  readonly log: Log
  /** Appends the changes as one transaction; answers the last sequence. Both streams hold them then. */
  readonly append: (...changes: ReadonlyArray<AppendedChange>) => Promise<number>
  readonly stop: () => Promise<void>
}

const at = (scope: string | null, entity: string, id: string, body = `{"id":"${id}"}`): AppendedChange => ({ scope, entity, id, body })
const pattern = (entity: string, scope: string | null = null, id: string | null = null): ViewPattern => ({ entity, scope, id })

const collect = async (log: Log, patterns: ReadonlyArray<ViewPattern>, after: number, pageMessages?: number) => {
  const pages: Array<ReadonlyArray<LogMessage>> = []
  let announced = -1
  const read = await log.readState({
    patterns,
    after,
    start: (count) => {
      announced = count
    },
    page: (messages) => {
      pages.push(messages)
    },
    ...(pageMessages === undefined ? {} : { pageMessages }),
  })
  return { ...read, announced, pages, messages: pages.flat() }
}

const reasonOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
    return "none"
  } catch (error) {
    return error instanceof LogError ? error.reason : `not a LogError: ${String(error)}`
  }
}

export const logContract = (name: string, make: () => Promise<LogFixture>): void => {
  describe(`${name} keeps the contract of the log`, () => {
    let fixture: LogFixture
    let log: Log
    beforeAll(async () => {
      fixture = await make()
      log = fixture.log
    }, 30_000)
    afterAll(() => fixture?.stop())

    it("has an end that moves, and gives what was written as it was written", async () => {
      const before = (await log.head()).last
      const seq = await fixture.append(
        { ...at("p 1.x", "task", "é.1", `{"title":"naïve ☃"}`), user: "ada%\r\nTide-Op: DELETE" },
        { ...at(null, "_grant", "g1", ""), before: `{"id":"g1"}` },
      )
      expect((await log.head()).last).toBe(before + 2)
      const [task, grant] = await log.latest([{ scope: null, entity: "_grant", id: "g1" }, { scope: "p 1.x", entity: "task", id: "é.1" }])
      expect(task).toMatchObject({
        seq: seq - 1,
        address: { scope: "p 1.x", entity: "task", id: "é.1" },
        body: `{"title":"naïve ☃"}`,
        user: "ada%\r\nTide-Op: DELETE",
        mutation: null,
        before: null,
      })
      expect(grant).toMatchObject({ seq, operation: "DELETE", body: "", before: `{"id":"g1"}`, address: { scope: null, entity: "_grant", id: "g1" } })
      expect(task!.transaction).toMatchObject({ position: 1, count: 2 })
      expect(grant!.transaction).toMatchObject({ xid: task!.transaction.xid, position: 2, count: 2 })
      expect(Math.abs(task!.storedAt - Date.now())).toBeLessThan(60_000)
    })

    it("reads state: the newest of each, in sequence order, counted beforehand, after a position", async () => {
      const start = (await log.head()).last
      await fixture.append(...Array.from({ length: 5 }, (_, i) => at("s1", "note", `n${i}`)))
      const middle = await fixture.append(at("s1", "note", "n1", `{"v":2}`), at("s2", "note", "x"), at("s1", "note", "n3", ""))
      const whole = await collect(log, [pattern("note", "s1")], 0)
      expect(whole.messages.map((m) => m.address.id)).toEqual(["n0", "n2", "n4", "n1", "n3"])
      expect(whole.messages.map((m) => m.operation)).toEqual(["UPDATE", "UPDATE", "UPDATE", "UPDATE", "DELETE"])
      expect(whole).toMatchObject({ announced: 5, count: 5, position: middle })
      const resumed = await collect(log, [pattern("note", "s1")], start + 5)
      expect(resumed.messages.map((m) => m.address.id)).toEqual(["n1", "n3"])
      expect(await collect(log, [pattern("note", "s1")], middle)).toMatchObject({ count: 0, position: middle })
      expect(await collect(log, [pattern("note", "s1")], middle + 100)).toMatchObject({ count: 0, position: middle + 100 })
      expect(await collect(log, [], 0)).toMatchObject({ count: 0, position: middle })
    })

    it("reads state through overlapping patterns, each change once, in pages that wait", async () => {
      await fixture.append(...Array.from({ length: 40 }, (_, i) => at(`o${i % 4}`, "doc", `d${i}`)), at(null, "doc", "free"))
      const patterns = [pattern("doc", "o1"), pattern("doc", "o2"), pattern("doc", null, "d1"), pattern("doc", null, "d3"), pattern("doc", "o0", "d0"), pattern("doc", null, "free")]
      const { messages, pages, announced } = await collect(log, patterns, 0, 7)
      expect(messages.map((m) => m.seq)).toEqual([...new Set(messages.map((m) => m.seq))].sort((a, b) => a - b))
      const wanted = (i: number) => i % 4 === 1 || i % 4 === 2 || i === 3 || i === 0
      expect(messages.map((m) => m.address.id)).toEqual([...Array.from({ length: 40 }, (_, i) => i).filter(wanted).map((i) => `d${i}`), "free"])
      expect(announced).toBeGreaterThanOrEqual(messages.length)
      expect(Math.max(...pages.map((p) => p.length))).toBeLessThanOrEqual(7)
      let open = 0
      await log.readState({
        patterns: [pattern("doc")],
        after: 0,
        pageMessages: 5,
        page: async () => {
          open++
          expect(open).toBe(1)
          await new Promise((resolve) => setImmediate(resolve))
          open--
        },
      })
      expect((await collect(log, [pattern("doc")], 0)).count).toBe(41)
    })

    it("calls a read off, and refuses one that STATE is not far enough for", async () => {
      await fixture.append(...Array.from({ length: 20 }, (_, i) => at("c", "card", `c${i}`)))
      const controller = new AbortController()
      const read = log.readState({ patterns: [pattern("card")], after: 0, pageMessages: 2, signal: controller.signal, page: () => controller.abort() })
      expect(await reasonOf(read)).toBe("aborted")
      const { last } = await log.head()
      expect(await log.readState({ patterns: [], after: 0, atLeast: last, page: () => {} })).toMatchObject({ position: last })
    })

    it("keeps every version of an entity, wherever it was", async () => {
      await fixture.append(at("h1", "page", "p", `{"v":1}`))
      await fixture.append(at("h1", "page", "p", `{"v":2}`))
      const moved = await fixture.append(at("h1", "page", "p", ""), at("h2", "page", "p", `{"v":3}`))
      const all = await log.history({ entity: "page", id: "p", scope: null })
      expect(all.map((m) => m.body)).toEqual([`{"v":1}`, `{"v":2}`, "", `{"v":3}`])
      expect((await log.history({ entity: "page", id: "p", scope: "h1" })).length).toBe(3)
      expect((await log.history({ entity: "page", id: "p", scope: null, limit: 2 })).map((m) => m.seq)).toEqual([moved - 1, moved])
      expect((await log.history({ entity: "page", id: "p", scope: null, before: moved - 1 })).map((m) => m.body)).toEqual([`{"v":1}`, `{"v":2}`])
      expect(await log.history({ entity: "page", id: "none", scope: null })).toEqual([])
    })

    it("follows: from a sequence on, in order, each once, and says when it is live", async () => {
      const start = (await log.head()).last
      await fixture.append(at("f", "line", "a"), at("f", "line", "b"))
      const seen: Array<number> = []
      const events: Array<FollowEvent> = []
      const following = await log.follow({ from: start + 1, message: (m) => seen.push(m.seq), event: (e) => events.push(e) })
      await until(() => events.length > 0, { what: "the follower is live" })
      expect(events).toEqual([{ type: "current", seq: start + 2 }])
      expect(seen).toEqual([start + 1, start + 2])
      const last = await fixture.append(at("f", "line", "c"))
      expect(await following.reach(last, 5_000)).toBe(last)
      expect(seen).toEqual([start + 1, start + 2, last])
      expect(Date.now() - following.heardAt()).toBeLessThan(5_000)
      expect(await reasonOf(following.reach(last + 1, 30))).toBe("unavailable")
      await following.stop()
      await fixture.append(at("f", "line", "d"))
      expect(seen.length).toBe(3)
      expect(following.position()).toBe(last)
    })

    it("follows some patterns, and knows its position where others pass", async () => {
      const start = (await log.head()).last
      const seen: Array<string> = []
      const patterns = [{ scope: null, entity: "_grant", id: null }, { scope: null, entity: "_member", id: null }]
      const following = await log.follow({ from: start + 1, patterns, message: (m) => seen.push(m.address.id), event: () => {} })
      await fixture.append(at("f", "line", "a"), at(null, "_grant", "g"), at("f", "line", "b"))
      const last = await fixture.append(at(null, "_member", "m"), ...Array.from({ length: 10 }, (_, i) => at("f", "line", `z${i}`)))
      expect(await following.reach(last, 5_000)).toBeGreaterThanOrEqual(last)
      expect(seen).toEqual(["g", "m"])
      const overlapping = await log.follow({
        from: start + 1,
        patterns: [pattern("line", "f"), pattern("line", null, "b"), { scope: "f", entity: null, id: null }],
        message: (m) => seen.push(m.address.id),
        event: () => {},
      })
      await overlapping.reach(last, 5_000)
      expect(seen.slice(2)).toEqual(["a", "b", ...Array.from({ length: 10 }, (_, i) => `z${i}`)])
      await Promise.all([following.stop(), overlapping.stop()])
    })

    it("follows nothing beyond its end", async () => {
      const { last } = await log.head()
      expect(await reasonOf(log.follow({ from: last + 2, message: () => {}, event: () => {} }))).toBe("ahead")
    })

    it("knows the first sequence since a time", async () => {
      const seq = await fixture.append(at("t", "line", "a"))
      const [message] = await log.latest([{ scope: "t", entity: "line", id: "a" }])
      expect(await log.since(new Date(Date.now() + 60_000))).toBe(seq + 1)
      expect(await log.since(new Date(0))).toBe((await log.head()).first)
      expect(await log.since(new Date(message!.storedAt + 1))).toBeGreaterThan(seq)
      expect(await log.since(new Date(message!.storedAt))).toBeLessThanOrEqual(seq)
    })

    it("lists the epochs", async () => {
      const seq = (await log.head()).last + 1
      const epoch = { id: "1-abc", previous: null, firstSeq: seq, reason: "first", at: "2026-01-01T00:00:00.000Z" }
      await fixture.append(at(null, "_epoch", epoch.id, JSON.stringify(epoch)))
      await fixture.append(at(null, "_epoch", "2-abc", JSON.stringify({ ...epoch, id: "2-abc", previous: "1-abc", firstSeq: seq + 1 })))
      expect((await log.epochs()).map((e) => [e.id, e.previous, e.firstSeq])).toEqual([["1-abc", null, seq], ["2-abc", "1-abc", seq + 1]])
    })
  })
}
