import { expect, it } from "vitest"
import { decideEpoch } from "./epoch.ts"
import type { PostgresNow, Remembered } from "./epoch.ts"
import type { StreamEnd } from "./stream-end.ts"

const cursor = { epoch: "2-aa", system: "pg", last: "90:100:95", window: null, tx: 0, id: 0 }
const end: StreamEnd = { created: "c1", stateCreated: "s1", last: 50, state: 48, cursor, torn: null, foreign: false, published: [] }
const remembered: Remembered = { epoch: "2-aa", streamCreated: "c1", stateCreated: "s1", ackedSeq: 50 }
const now: PostgresNow = { system: "pg", remembers: "pg", snapshot: "100:100:", dropped: null, missing: [], loaded: false }
const decide = (e: Partial<StreamEnd> = {}, r: Partial<Remembered> | null = {}, acked = 0, n: Partial<PostgresNow> = {}) =>
  decideEpoch({ ...end, ...e }, r === null ? null : { ...remembered, ...r }, acked, { ...now, ...n }, "now", "bb")
const goesOn = { type: "go on", cursor, rebuild: null, note: null }
/** From a snapshot of what is now, with a rebuild. */
const anew = (reason: RegExp, loaded = false) => ({ type: "open", epoch: { id: "3-bb", firstSeq: 51, reason: expect.stringMatching(reason) }, cursor: { epoch: "3-bb", last: null, window: null }, rebuild: true, loaded })

it("goes on from the stream's cursor where everything is as it was", () => {
  expect(decide()).toEqual(goesOn)
  // Acknowledged to a relay that died before it noted it; noted seldom; the mirror not noted by an older version.
  expect(decide({ last: 70 })).toMatchObject({ type: "go on" })
  expect(decide({}, { stateCreated: null })).toEqual(goesOn)
})

it("opens the first epoch, from the beginning of the outbox, and again where both streams are gone", () => {
  const gone = { last: 0, state: 0, cursor: null }
  const first = { type: "open", epoch: { id: "1-bb", previous: null, firstSeq: 1 }, cursor: { epoch: "1-bb", system: "pg", last: "1:1:", window: null } }
  expect(decide(gone, null, 0, { remembers: null })).toMatchObject({ ...first, rebuild: false })
  expect(decide(gone)).toMatchObject({ epoch: { id: "3-bb", previous: "2-aa", firstSeq: 1 }, cursor: { last: "1:1:" }, rebuild: false })
  // The outbox does not have every row any more.
  expect(decide(gone, {}, 0, { dropped: 7n })).toMatchObject({ cursor: { last: "1:1:" }, rebuild: true })
})

it("opens an epoch where acknowledged messages are gone, and goes on from the cursor that went back with them", () => {
  const lost = { type: "open", epoch: { id: "3-bb", previous: "2-aa", firstSeq: 51 }, cursor: { ...cursor, epoch: "3-bb" }, rebuild: false }
  expect(decide({}, { ackedSeq: 51 })).toMatchObject(lost)
  expect(decide({}, {}, 51)).toMatchObject(lost)
  expect(decide({ state: 51 })).toMatchObject(lost)
  expect(decide({ created: "c2" })).toMatchObject(lost)
  expect(decide({ cursor: { ...cursor, epoch: "1-zz" } })).toMatchObject({ ...lost, cursor: { ...cursor, epoch: "3-bb" } })
})

it("rebuilds as well where the outbox does not reach back to that cursor", () => {
  expect(decide({}, { ackedSeq: 51 }, 0, { dropped: 94n })).toMatchObject({ type: "open", rebuild: false })
  for (const dropped of [95n, 100n, 120n]) expect(decide({}, { ackedSeq: 51 }, 0, { dropped })).toMatchObject({ type: "open", cursor: { last: cursor.last }, rebuild: true })
  expect(decide({}, {}, 0, { dropped: 120n })).toEqual(goesOn)
})

it("rebuilds, and opens no epoch, where the mirror alone was made anew or somebody published by hand", () => {
  expect(decide({ stateCreated: "s2" })).toMatchObject({ type: "go on", rebuild: "STATE was made anew" })
  expect(decide({ stateCreated: "s2" }, { ackedSeq: 51 })).toMatchObject({ type: "open", rebuild: true })
  expect(decide({ foreign: true })).toMatchObject({ type: "go on", rebuild: expect.stringContaining("somebody else") })
})

it("begins from what is now where the stream is another's", () => {
  expect(decide({ foreign: true, cursor: null })).toMatchObject(anew(/another stream/))
  expect(decide({ cursor: { ...cursor, system: "other" } })).toMatchObject(anew(/of another Postgres cluster/))
  expect(decide({}, null, 0, { remembers: null })).toMatchObject(anew(/knows of no epoch/))
})

it("begins from what is now where Postgres went back in time", () => {
  expect(decide({}, {}, 0, { snapshot: "99:99:" })).toMatchObject(anew(/back in time/))
  // Its transaction ids are beyond the stream's again; the epoch it notes before it opens one is not.
  expect(decide({}, { epoch: "1-zz" }, 0, { snapshot: "900:900:" })).toMatchObject(anew(/does not know epoch 2-aa/))
  expect(decide({}, {}, 0, { missing: [{ seq: 49, xid: "98" }] })).toMatchObject(anew(/has lost transaction 98, which is at 49/))
})

it("does not take for lost what was dropped after it was published", () => {
  const missing = [{ seq: 49, xid: "98" }]
  expect(decide({}, {}, 0, { missing, dropped: 98n })).toEqual(goesOn)
  expect(decide({}, {}, 0, { missing, dropped: 97n })).toMatchObject(anew(/lost transaction/))
  // Nothing is dropped before it was noted as acknowledged.
  expect(decide({}, { ackedSeq: 40 }, 0, { missing, dropped: 98n })).toMatchObject(anew(/lost transaction/))
})

it("tells a cluster that was loaded from a dump from one that was upgraded", () => {
  expect(decide({}, {}, 0, { system: "new", loaded: true })).toMatchObject(anew(/dumped and loaded/, true))
  expect(decide({}, {}, 0, { system: "new" })).toMatchObject({ type: "go on", cursor: { ...cursor, system: "new" }, rebuild: null, note: expect.stringContaining("upgraded") })
  expect(decide({}, {}, 0, { system: "new", missing: [{ seq: 49, xid: "98" }] })).toMatchObject(anew(/lost transaction/))
  expect(decide({}, {}, 0, { system: "new", remembers: "third" })).toMatchObject(anew(/different clusters/))
})

it("cuts a window that was not finished down to what has ended here", () => {
  const half = { ...cursor, window: "95:120:95,110", tx: 7, id: 7 }
  // As ever: all of it has ended since.
  expect(decide({ cursor: half }, {}, 0, { snapshot: "130:131:130" })).toMatchObject({ cursor: half })
  // A promoted replica that does not know 105 and later, and has given 102 to somebody who is under way.
  expect(decide({ cursor: half }, {}, 0, { snapshot: "102:105:102" })).toMatchObject({ cursor: { ...half, window: "95:105:95,102" } })
})

it("does not open an epoch twice where the relay died after it had opened it, and does where it died before", () => {
  const opened = { ...cursor, epoch: "3-bb" }
  expect(decide({ last: 51, cursor: opened }, { epoch: "3-bb" })).toMatchObject({ type: "go on", cursor: opened })
  expect(decide({}, { epoch: "3-bb" })).toMatchObject({ type: "open", epoch: { previous: "3-bb" } })
})
