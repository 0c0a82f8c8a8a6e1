/** What goes into MUTATE frames, within the wire's bounds. */
import { expect, test } from "vitest"
import { FRAME_UP_BYTES, MUTATIONS_PER_FRAME } from "#protocol/limits.ts"
import { nextFrames } from "./push.ts"
import type { StoredEdit } from "./store.ts"

const edit = (n: number, over: Partial<StoredEdit> = {}): StoredEdit => {
  const id = String(n).padStart(6, "0")
  return {
    id, mutationId: id, entity: "task", entityId: id, scope: null, op: "update", base: {}, data: {}, state: "waiting", at: 0, appliedAt: null, current: null, message: null, ...over,
  }
}

test("many edits go in frames of at most as many as the wire takes, and no more at once than two of them", () => {
  const edits = Array.from({ length: 450 }, (_, n) => edit(n))
  const flying = new Map<string, number>()
  const sizes = () => {
    const { frames } = nextFrames(edits, flying)
    for (const mutation of frames.flat()) flying.set(mutation.id, 0)
    return frames.map((frame) => frame.length)
  }
  expect(sizes()).toEqual([MUTATIONS_PER_FRAME, MUTATIONS_PER_FRAME])
  expect(sizes()).toEqual([])
  for (const { id } of edits.splice(0, 150)) flying.delete(id)
  expect(sizes()).toEqual([MUTATIONS_PER_FRAME, 50])
})

test("large edits go in frames of at most as many bytes; one that fits none is not sent", () => {
  const text = "ü".repeat(FRAME_UP_BYTES / 5)
  const { frames, tooLarge } = nextFrames([edit(1, { data: { text } }), edit(2, { data: { text } }), edit(3, { data: { text: text.repeat(3) } }), edit(4, { data: { text } })], new Map())
  expect(frames.map((frame) => frame.map((mutation) => mutation.id))).toEqual([["000001", "000002"], ["000004"]])
  for (const mutations of frames) expect(new TextEncoder().encode(JSON.stringify({ type: "MUTATE", payload: { mutations } })).length).toBeLessThanOrEqual(FRAME_UP_BYTES)
  expect(tooLarge.map((one) => one.id)).toEqual(["000003"])
})

test("one edit an entity: the oldest that is not applied, and none behind one in flight or unsettled", () => {
  const ids = (edits: ReadonlyArray<StoredEdit>, flying: ReadonlyArray<string> = []) =>
    nextFrames(edits, new Map(flying.map((id) => [id, 0]))).frames.flat().map((mutation) => mutation.id)
  const on = (n: number, state: StoredEdit["state"]) => edit(n, { entityId: "t", state })
  expect(ids([on(2, "waiting"), on(1, "waiting")])).toEqual(["000001"])
  expect(ids([on(1, "applied"), on(2, "waiting")])).toEqual(["000002"])
  expect(ids([on(1, "waiting"), on(2, "waiting")], ["000001"])).toEqual([])
  for (const state of ["conflict", "denied", "invalid"] as const) expect(ids([on(1, state), on(2, "waiting")])).toEqual([])
})
