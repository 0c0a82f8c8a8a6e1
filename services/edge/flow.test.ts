/** The parts of the live flow, each against the plain way of saying the same. */
import { once } from "node:events"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import type { Pattern, ViewPattern } from "#protocol/grant.ts"
import { covers, matches, normalise, overlaps } from "#protocol/grant.ts"
import { FRAME_DOWN_CHANGES } from "#protocol/limits.ts"
import type { Address } from "#protocol/subject.ts"
import { changeSubject } from "#protocol/subject.ts"
import type { LogMessage } from "#nats/log.ts"
import type { Random } from "#test/support/random.ts"
import { property } from "#test/support/random.ts"
import { until } from "#test/support/until.ts"
import { Event, changeJson, invalidationJson } from "./event.ts"
import { LiveIndex } from "./live-index.ts"
import { PatternSet } from "./pattern-set.ts"
import { Ring } from "./ring.ts"
import { Chain, changesHead, changesTail } from "./send.ts"
import type { Piece } from "./transactions.ts"
import { Transactions } from "./transactions.ts"
import { writeText } from "./wire.ts"

const message = (seq: number, over: Partial<LogMessage> = {}, address: Address = { scope: "p", entity: "task", id: String(seq) }): LogMessage => ({
  seq, subject: changeSubject(address), address, operation: "UPDATE", body: `{"n":${seq}}`, at: "2026-01-01T00:00:00.000001Z", user: null, mutation: null, trace: null,
  before: null, transaction: { xid: String(seq), position: 1, count: 1 }, storedAt: 0, ...over,
})
const event = (seq: number, over: Partial<LogMessage> = {}, end = seq) => new Event(message(seq, over), end)

const scope = (random: Random) => random.pick(["a", "b", null])
const id = (random: Random) => random.pick(["1", "2", "3"])
const pattern = (random: Random): ViewPattern => ({ entity: random.pick(["task", "note"]), scope: scope(random), id: random.chance(0.5) ? id(random) : null })
const address = (random: Random): Address => ({ entity: random.pick(["task", "note", "_grant"]), scope: scope(random), id: id(random) })

const addresses: ReadonlyArray<Address> = ["task", "note", "_grant"].flatMap((entity) => (entity === "_grant" ? [null] : ["a", "b", null]).flatMap((at) => ["1", "2", "3"].map((one) => ({ entity, scope: at, id: one }))))

describe("PatternSet", () => {
  property("answers as `matches` does for one of its patterns", 300, (random) => {
    const patterns: ReadonlyArray<Pattern> = random.list(6, () => ({ ...pattern(random), entity: random.chance(0.3) ? null : random.pick(["task", "note", "_grant"]) }))
    const set = new PatternSet(patterns)
    for (let i = 0; i < 10; i++) {
      const at = address(random)
      expect(set.matches(at)).toBe(patterns.some((one) => matches(one, at)))
    }
  })
})

describe("PatternSet, asked about patterns", () => {
  const granted = (random: Random): ReadonlyArray<Pattern> => random.list(6, () => ({ ...pattern(random), entity: random.chance(0.3) ? null : random.pick(["task", "note", "_grant"]) }))
  const asks = (random: Random): ViewPattern => ({ ...pattern(random), entity: random.pick(["task", "note", "_grant"]) })

  property("cuts what is asked for down to what is allowed", 1_000, (random) => {
    const allowed = granted(random)
    const asked = random.list(4, () => asks(random))
    const view = new PatternSet(allowed).cut(asked, 1_000)!
    expect(normalise(view)).toEqual(view)
    for (const both of view) expect(asked.some((one) => covers(one, both)) && allowed.some((one) => covers(one, both))).toBe(true)
    for (const at of addresses) expect(view.some((one) => matches(one, at))).toBe(asked.some((one) => matches(one, at)) && allowed.some((one) => matches(one, at)))
    for (const most of [0, view.length - 1]) expect(new PatternSet(allowed).cut(asked, Math.max(0, most))).toEqual(view.length > Math.max(0, most) ? null : view)
  })

  property("knows what one of them covers or overlaps", 1_000, (random) => {
    const allowed = granted(random)
    const set = new PatternSet(allowed)
    const one = asks(random)
    expect(set.covers(one)).toBe(allowed.some((wide) => covers(wide, one)))
    expect(set.overlaps(one)).toBe(allowed.some((other) => overlaps(other, one)))
  })
})

describe("LiveIndex", () => {
  property("visits exactly the members whose views match, whoever came and went", 300, (random) => {
    const index = new LiveIndex<number>()
    const members = new Map<number, ReadonlyArray<ViewPattern>>()
    for (let i = 0; i < 20; i++) {
      const leaving = random.pick([...members.keys(), -1])
      if (random.chance(0.4) && leaving >= 0) {
        index.leave(leaving, members.get(leaving)!)
        members.delete(leaving)
      } else {
        const view = random.list(4, () => pattern(random))
        members.set(i, view)
        index.join(i, view)
      }
      const at = address(random)
      const visited = new Set<number>()
      index.visit(at, (member) => visited.add(member))
      expect([...visited].sort()).toEqual([...members].filter(([, view]) => view.some((one) => matches(one, at))).map(([member]) => member).sort())
    }
    for (const [member, view] of members) index.leave(member, view)
    expect(index.empty).toBe(true)
  })
})

describe("Ring", () => {
  property("holds the newest events within its bounds and finds what comes after a position", 200, (random) => {
    const ring = new Ring(10, { events: 8, bytes: 1_000_000 })
    const pushed: Array<number> = []
    let head = 10
    for (let i = 0; i < 30; i++) {
      const events = random.list(3, () => event((head += 1 + random.int(2))))
      head += random.int(2)
      ring.push(events, head)
      pushed.push(...events.map((one) => one.seq))
      expect(ring.size).toBe(Math.min(8, pushed.length))
      expect(ring.head).toBe(head)
      const position = ring.floor + random.int(head - ring.floor + 1)
      const after: Array<number> = []
      for (let place = ring.after(position); ring.at(place) !== undefined; place++) after.push(ring.at(place)!.seq)
      expect(after).toEqual(pushed.filter((seq) => seq > position))
    }
  })

  it("is bounded in bytes, and marks what a newer change of the same entity follows", () => {
    const ring = new Ring(0, { events: 1_000, bytes: 5_000 })
    const events = Array.from({ length: 30 }, (_, i) => new Event(message(i + 1, { body: "x".repeat(1_000) }, { scope: "p", entity: "task", id: String(i % 2) }), i + 1))
    for (const one of events) ring.push([one], one.seq)
    expect(ring.bytes).toBeLessThanOrEqual(5_000)
    expect(ring.floor).toBe(27)
    expect(events.filter((one) => !one.superseded).map((one) => one.seq)).toEqual([29, 30])
  })
})

describe("Transactions", () => {
  const collect = (messages: ReadonlyArray<LogMessage>, bounds = { messages: 3, bytes: 1_000_000 }) => {
    const pieces: Array<Piece> = []
    const transactions = new Transactions(bounds, (piece) => pieces.push(piece))
    for (const one of messages) transactions.message(one)
    return pieces.map(({ messages: held, end, more }) => [held.map((one) => one.seq), end, more])
  }
  const of = (xid: string, count: number, from: number) =>
    Array.from({ length: count }, (_, i) => message(from + i, { transaction: { xid, position: i + 1, count } }))

  it("come out whole; a large one in pieces that say so; one that has no end ends with the next", () => {
    expect(collect([...of("1", 1, 1), ...of("2", 3, 2)])).toEqual([[[1], 1, false], [[2, 3, 4], 4, false]])
    expect(collect(of("1", 7, 1))).toEqual([[[1, 2, 3], 3, true], [[4, 5, 6], 6, true], [[7], 7, false]])
    expect(collect([...of("1", 3, 1).slice(0, 2), ...of("2", 1, 9)])).toEqual([[[1, 2], 2, false], [[9], 9, false]])
    expect(collect(of("1", 3, 1).map((one) => ({ ...one, body: "x".repeat(60) })), { messages: 10, bytes: 100 })).toEqual([[[1, 2], 2, true], [[3], 3, false]])
  })
})

describe("a chain", () => {
  it("is the same for everybody who gets the same events, and its text is made once", () => {
    const [a, b] = [event(1), event(2)]
    const root = Chain.empty()
    const [one, two] = [root, root].map((chain) => chain.with(a))
    expect(one).toBe(two)
    expect(one!.with(b)).toBe(two!.with(b))
    const parts = one!.with(b).parts("data", 5, null)
    expect(two!.with(b).parts("data", 5, null)).toBe(parts)
    expect(parts).toEqual([{ to: 5, body: Buffer.from(`${changeJson(a.message)},${changeJson(b.message)}`), more: false }])
  })

  it("is cut where a frame is full, between transactions if it can be", () => {
    const xid = (seq: number) => (seq <= FRAME_DOWN_CHANGES ? "1" : "2")
    let chain = Chain.empty()
    for (let seq = 1; seq <= FRAME_DOWN_CHANGES + 5; seq++)
      chain = chain.with(event(seq, { transaction: { xid: xid(seq), position: 1, count: 1 } }, seq <= FRAME_DOWN_CHANGES ? FRAME_DOWN_CHANGES : FRAME_DOWN_CHANGES + 5))
    expect(chain.parts("data", 2_000, null).map(({ to, more }) => [to, more])).toEqual([[FRAME_DOWN_CHANGES, false], [2_000, false]])
    let large = Chain.empty()
    for (let seq = 1; seq <= FRAME_DOWN_CHANGES + 1; seq++) large = large.with(event(seq, { transaction: { xid: "1", position: 1, count: 9_999 } }, 5_000))
    expect(large.parts("data", 5_000, "1").map(({ to, more }) => [to, more])).toEqual([[FRAME_DOWN_CHANGES, true], [5_000, true]])
  })
})

describe("an event's text", () => {
  property("is the change as JSON, with the row's own text in it", 300, (random) => {
    const row = { [random.text(5)]: random.text(8), n: random.int(9) }
    const one = message(7, { body: JSON.stringify(row, null, random.int(2)), user: random.chance(0.5) ? random.text(6) : null, mutation: random.chance(0.5) ? random.text(6) : null }, { entity: "task", id: random.text(6), scope: random.chance(0.5) ? random.text(4) : null })
    const { entity, id: entityId, scope: at } = one.address
    expect(JSON.parse(changeJson(one))).toEqual({
      entityCode: entity, entityId, scope: at, operation: "UPDATE", version: 7, data: row, timestamp: one.at, by: one.user, ...(one.mutation === null ? {} : { mutationId: one.mutation }),
    })
    expect(JSON.parse(invalidationJson(one))).toEqual({ entityCode: entity, entityId, action: "UPDATE", version: 7 })
    expect(JSON.parse(changesHead("data", 1, 2, "c") + changeJson(one) + changesTail(true, { done: 1, of: 2 }))).toMatchObject({ type: "CHANGES", payload: { from: 1, to: 2, cursor: "c", more: true, progress: { done: 1, of: 2 } } })
  })

  it("of a deletion has no row, and a backfilled row is an inserted one", () => {
    expect(JSON.parse(changeJson(message(1, { operation: "DELETE", body: "" })))).toMatchObject({ operation: "DELETE", data: null })
    expect(JSON.parse(changeJson(message(1, { operation: "READ" })))).toMatchObject({ operation: "INSERT" })
  })
})

describe("a shared frame on the wire", () => {
  it("is what a WebSocket client reads, of any length", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
    await once(server, "listening")
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const got: Array<string> = []
    client.on("message", (data: Buffer) => got.push(data.toString()))
    const [, request] = (await once(server, "connection")) as [WebSocket, IncomingMessage]
    const sent = [0, 1, 121, 122, 123, 124, 5_000, 16_384, 16_385, 65_530, 65_532, 70_000].map((length) => `{${"ü".repeat(length / 2)}${"x".repeat(length % 2)}}`)
    for (const text of sent) writeText(request.socket, "{", Buffer.from(text.slice(1, -1)), "}")
    await until(() => got.length === sent.length, { what: "all frames" })
    expect(got).toEqual(sent)
    client.terminate()
    server.close()
  })
})
