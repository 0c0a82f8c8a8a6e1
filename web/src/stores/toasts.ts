/**
 * Short messages at the bottom edge. One with `done` is a deed that is done only when the toast ends, unless its button, Undo, was
 * pressed before. The timers are here and not in the view, so that a hidden tab keeps its word.
 */
import { defineStore } from "pinia"
import { ref } from "vue"

export interface Toast {
  readonly id: number
  readonly text: string
  readonly kind: "plain" | "bad"
  readonly button: { readonly label: string; readonly press: () => void } | null
  readonly done: (() => void) | null
}

/** Milliseconds a toast stays: long enough to read it and reach the button. */
export const TOAST_MS = 6_000

/** What the button says that Control Z presses. */
export const UNDO = "Undo"

export const useToasts = defineStore("toasts", () => {
  const toasts = ref<ReadonlyArray<Toast>>([])
  const timers = new Map<number, ReturnType<typeof setTimeout>>()
  let next = 1

  const drop = (id: number): Toast | undefined => {
    clearTimeout(timers.get(id))
    timers.delete(id)
    const toast = toasts.value.find((t) => t.id === id)
    toasts.value = toasts.value.filter((t) => t.id !== id)
    return toast
  }
  const start = (id: number): void => {
    clearTimeout(timers.get(id))
    if (!toasts.value.some((toast) => toast.id === id)) return
    timers.set(id, setTimeout(() => close(id), TOAST_MS))
  }

  const show = (text: string, more: Partial<Pick<Toast, "kind" | "button" | "done">> = {}): number => {
    const toast: Toast = { id: next++, text, kind: "plain", button: null, done: null, ...more }
    toasts.value = [...toasts.value, toast]
    start(toast.id)
    return toast.id
  }
  /** The toast ends; what it announced is done. */
  const close = (id: number): void => drop(id)?.done?.()
  /** The toast ends, and what it announced is not done. */
  const withdraw = (id: number): void => void drop(id)
  const press = (id: number): void => drop(id)?.button?.press()
  /** Undoes the newest that can be. */
  const undoLast = (): boolean => {
    const last = toasts.value.findLast((t) => t.button?.label === UNDO)
    if (last !== undefined) press(last.id)
    return last !== undefined
  }
  /** While the pointer or the focus is on it, a toast waits. */
  const hold = (id: number): void => clearTimeout(timers.get(id))

  return { toasts, show, close, withdraw, press, undoLast, hold, start }
})
