import type { StreamInfo } from "@nats-io/jetstream"
import { describe, expect, it } from "vitest"
import { Epoch } from "#protocol/epoch.ts"
import { changesConfig, stateConfig } from "#nats/streams.ts"
import { metric } from "../status/edges.ts"
import { atLeast } from "./finding.ts"
import { epochFinding, mirrorFinding, streamFinding } from "./nats.ts"
import { changesRoomFinding, outboxFinding, payloadFinding, storeFinding } from "./room.ts"

const info = (config: object, lastSeq: number, mirror?: object): StreamInfo =>
  ({ config, state: { messages: lastSeq, first_seq: 1, last_seq: lastSeq, consumer_count: 0 }, ...(mirror === undefined ? {} : { mirror }) }) as unknown as StreamInfo

describe("versions", () => {
  it("are compared by their numbers", () => {
    expect(["2.12.0", "2.15.1", "3.0", "2.12"].map((v) => atLeast(v, "2.12"))).toEqual([true, true, true, true])
    expect(["2.9.10", "2.11.99", "", "13.4"].map((v) => atLeast(v, v === "13.4" ? "14" : "2.12"))).toEqual([false, false, false, false])
    expect(atLeast("18.4 (Debian 18.4-1)", "14")).toBe(true)
  })
})

describe("a stream", () => {
  it("is well as declared, with what the server adds and leaves out", () => {
    const { max_age, ...rest } = stateConfig
    expect(max_age).toBe(0)
    expect(streamFinding(stateConfig, info({ ...rest, mirror: { name: "CHANGES", opt_start_seq: 0 }, num_replicas: 3 }, 5))).toMatchObject({ state: "ok" })
  })

  it("is a problem where it is missing or another one", () => {
    expect(streamFinding(changesConfig, null)).toMatchObject({ state: "problem", found: "There is no such stream." })
    expect(streamFinding(changesConfig, info({ ...changesConfig, max_age: 1, deny_purge: false }, 5)).found).toMatch(/deny_purge is false, should be true; max_age is 1, should be \d+\./)
    expect(streamFinding(stateConfig, info({ ...stateConfig, mirror: { name: "OTHER" } }, 5))).toMatchObject({ state: "problem" })
  })
})

describe("the mirror", () => {
  const changes = info(changesConfig, 50_000)
  const heard = { name: "CHANGES", lag: 0, active: 1e8 }

  it("is believed only beside its origin", () => {
    expect(mirrorFinding(changes, info(stateConfig, 50_000, heard))).toMatchObject({ state: "ok" })
    expect(mirrorFinding(changes, info(stateConfig, 49_999, heard))).toMatchObject({ state: "ok" })
    expect(mirrorFinding(changes, info(stateConfig, 40_000, heard))).toMatchObject({ state: "warning" })
    // What a mirror says that never found its origin.
    expect(mirrorFinding(changes, info(stateConfig, 0, { name: "CHANGES", lag: 0, active: -1 }))).toMatchObject({ state: "problem", found: expect.stringContaining("has not heard from CHANGES yet") })
    expect(mirrorFinding(changes, info(stateConfig, 49_999, { ...heard, active: 60e9 }))).toMatchObject({ state: "problem", found: expect.stringContaining("for 1 min") })
    expect(mirrorFinding(changes, info(stateConfig, 50_001, heard))).toMatchObject({ state: "problem", found: expect.stringContaining("lost its end") })
    expect(mirrorFinding(changes, info(stateConfig, 50_000, { ...heard, error: { description: "no space" } }))).toMatchObject({ state: "problem", found: expect.stringContaining("no space") })
  })
})

describe("an epoch", () => {
  it("after the first is worth a warning for a day", () => {
    const epoch = (previous: string | null, at: string) => epochFinding(new Epoch({ id: "2-aa", previous, firstSeq: 7, reason: "its tail was lost", at }), Date.parse("2026-11-21T12:00:00Z"))
    expect(epoch("1-bb", "2026-11-21T11:00:00Z")).toMatchObject({ state: "warning", found: expect.stringContaining("its tail was lost") })
    expect([epoch(null, "2026-11-21T11:00:00Z").state, epoch("1-bb", "2026-11-20T11:00:00Z").state]).toEqual(["ok", "ok"])
  })
})

describe("a metric", () => {
  it("is the sum over its labels, or nothing", () => {
    const text = '# HELP a A\na{x="1"} 2\na{x="2"} 3.5\nab 7\nb 1e3\n'
    expect([metric(text, "a"), metric(text, "b"), metric(text, "c")]).toEqual([5.5, 1000, null])
  })
})

describe("room", () => {
  const GiB = 2 ** 30
  const limits = (max_storage: number) => ({ max_storage }) as Parameters<typeof storeFinding>[0]["limits"]

  it("in the outbox is told by its size and its pace", () => {
    const outbox = { bytes: 3 * GiB, partitions: 30, bytesADay: GiB / 10 }
    expect(outboxFinding(outbox, 10 * GiB, 20 * GiB)).toMatchObject({ state: "ok", found: expect.stringContaining("3 GiB in 30 partitions, 102 MiB a day, of a database of 20 GiB") })
    expect(outboxFinding({ ...outbox, bytesADay: 5 * GiB }, 10 * GiB, 20 * GiB)).toMatchObject({ state: "warning", found: expect.stringContaining("in 1.4 days") })
    expect(outboxFinding({ ...outbox, bytes: 11 * GiB }, 10 * GiB, 20 * GiB)).toMatchObject({ state: "warning", found: expect.stringContaining("more than TIDELINE_OUTBOX_WARN_BYTES") })
    expect(outboxFinding({ bytes: 0, partitions: 1, bytesADay: 0 }, GiB, GiB)).toMatchObject({ state: "ok" })
  })

  it("in JetStream is told against its limits, and where there is none, what is not seen", () => {
    expect(storeFinding({ storage: GiB, limits: limits(-1) })).toMatchObject({ state: "ok", found: expect.stringContaining("not seen from here") })
    expect([0.5, 0.85, 0.99].map((part) => storeFinding({ storage: part * GiB, limits: limits(GiB) }).state)).toEqual(["ok", "warning", "problem"])
    const changes = (bytes: number, max_bytes: number) => changesRoomFinding({ state: { bytes }, config: { max_bytes } } as StreamInfo)
    expect([changes(5, -1), changes(5, 10), changes(9, 10), changes(10, 10)].map(({ state }) => state)).toEqual(["ok", "ok", "warning", "problem"])
    expect([payloadFinding(8 * 2 ** 20), payloadFinding(2 ** 20)].map(({ state }) => state)).toEqual(["ok", "warning"])
  })
})
