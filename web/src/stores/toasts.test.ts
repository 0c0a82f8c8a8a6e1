import { createPinia, setActivePinia } from "pinia"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { TOAST_MS, UNDO, useToasts } from "./toasts.ts"

beforeEach(() => {
  setActivePinia(createPinia())
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

const deletion = (log: Array<string>) => ({ button: { label: UNDO, press: () => log.push("undone") }, done: () => log.push("done") })

it("does the deed when the toast ends, once", () => {
  const toasts = useToasts()
  const log: Array<string> = []
  toasts.show("Deleted", deletion(log))
  vi.advanceTimersByTime(TOAST_MS - 1)
  expect(log).toEqual([])
  vi.advanceTimersByTime(1)
  expect(log).toEqual(["done"])
  expect(toasts.toasts).toEqual([])
  vi.advanceTimersByTime(TOAST_MS)
  expect(log).toEqual(["done"])
})

it("does not do it when it was undone", () => {
  const toasts = useToasts()
  const log: Array<string> = []
  toasts.show("Deleted", deletion(log))
  toasts.show("Link copied")
  expect(toasts.undoLast()).toBe(true)
  vi.advanceTimersByTime(TOAST_MS * 2)
  expect(log).toEqual(["undone"])
  expect(toasts.undoLast()).toBe(false)
})

it("waits while somebody points at it", () => {
  const toasts = useToasts()
  const log: Array<string> = []
  const id = toasts.show("Deleted", deletion(log))
  toasts.hold(id)
  vi.advanceTimersByTime(TOAST_MS * 2)
  expect(log).toEqual([])
  toasts.start(id)
  vi.advanceTimersByTime(TOAST_MS)
  expect(log).toEqual(["done"])
})
