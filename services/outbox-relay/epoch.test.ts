import { expect, it } from "vitest"
import { decideEpoch } from "./epoch.ts"
import type { PostgresNow, Remembered } from "./epoch.ts"
import type { StreamEnd } from "./stream-end.ts"

const cursor = { epoch: "2-aa", system: "pg", last: "90:100:95", window: null, tx: 0, id: 0 }
const end: StreamEnd = { created: "c1", last: 50, state: 48, cursor, torn: null }
const remembered: Remembered = { epoch: "2-aa", streamCreated: "c1", ackedSeq: 50 }
const now: PostgresNow = { system: "pg", xmax: 100n }
const decide = (e: Partial<StreamEnd> = {}, r: Partial<Remembered> | null = {}, acked = 0, n: Partial<PostgresNow> = {}) =>
  decideEpoch({ ...end, ...e }, r === null ? null : { ...remembered, ...r }, acked, { ...now, ...n }, "now", "bb")

it("goes on from the stream's cursor where everything is as it was", () => {
  expect(decide()).toEqual({ type: "go on", cursor })
  // Acknowledged to a relay that died before it noted it; noted seldom; noted never.
  expect(decide({ last: 70 })).toMatchObject({ type: "go on" })
  expect(decide({}, null)).toMatchObject({ type: "go on" })
})

it("opens the first epoch, from the beginning of the outbox", () => {
  expect(decide({ last: 0, cursor: null }, null)).toMatchObject({
    type: "open",
    epoch: { id: "1-bb", previous: null, firstSeq: 1 },
    cursor: { epoch: "1-bb", system: "pg", last: "1:1:", window: null },
  })
})

it("opens an epoch where acknowledged messages are gone, and goes on from the cursor that went back with them", () => {
  expect(decide({}, { ackedSeq: 51 })).toMatchObject({
    type: "open",
    epoch: { id: "3-bb", previous: "2-aa", firstSeq: 51 },
    cursor: { ...cursor, epoch: "3-bb" },
  })
  expect(decide({}, {}, 51)).toMatchObject({ type: "open" })
  expect(decide({ state: 51 }, null)).toMatchObject({ type: "open", epoch: { firstSeq: 51 }, cursor: { last: cursor.last } })
})

it("opens an epoch on another stream", () => {
  expect(decide({ last: 0, cursor: null })).toMatchObject({ type: "open", epoch: { id: "3-bb", previous: "2-aa", firstSeq: 1 }, cursor: { last: "1:1:" } })
  expect(decide({ created: "c2" })).toMatchObject({ type: "open", cursor: { last: cursor.last } })
  expect(decide({ cursor: { ...cursor, epoch: "1-zz" } })).toMatchObject({ type: "open", epoch: { id: "3-bb" } })
})

it("publishes the outbox afresh for another Postgres, and for one that went back in time", () => {
  expect(decide({}, {}, 0, { system: "other" })).toMatchObject({ type: "open", cursor: { system: "other", last: "1:1:" } })
  expect(decide({}, {}, 0, { xmax: 99n })).toMatchObject({ type: "open", cursor: { last: "1:1:" } })
  expect(decide({ cursor: { ...cursor, window: "100:120:" } })).toMatchObject({ type: "open", cursor: { last: "1:1:", window: null } })
})

it("does not open an epoch twice where the relay died before it noted the new one", () => {
  const opened = { ...cursor, epoch: "3-bb" }
  expect(decide({ last: 51, cursor: opened }, { ackedSeq: 90 })).toEqual({ type: "go on", cursor: opened })
  expect(decide({ created: "c2", last: 1, state: 0, cursor: opened })).toEqual({ type: "go on", cursor: opened })
})
