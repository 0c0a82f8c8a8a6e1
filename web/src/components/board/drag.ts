/**
 * Dragging a card with mouse, pen or finger: pointer events, no HTML drag and drop. A mouse drags after four pixels, a finger
 * after a long press, so that swiping still scrolls. This file knows geometry and gestures; what a drop means is board.ts's business.
 */
import { onScopeDispose, shallowRef, type ShallowRef } from "vue"
import type { Status } from "./statuses.ts"

/** A place in a column: before the `index`-th card, the dragged one left out. */
export interface Place {
  readonly status: Status
  readonly index: number
}

export interface Drag {
  readonly id: string
  readonly width: number
  readonly height: number
  /** The top left corner of the card under the pointer, in the window. */
  readonly x: number
  readonly y: number
  readonly over: Place
}

/** What a column tells about itself while a card hovers over it. */
export interface DropColumn {
  readonly status: Status
  /** The element that scrolls. */
  readonly scroller: HTMLElement
  /** Where the list begins in the scroller's content, in pixels. */
  readonly start: number
  readonly gap: number
  /** Heights of its cards in order, the dragged one left out. */
  readonly sizes: (dragged: string) => ReadonlyArray<number>
}

/** How many cards stand above `top`, the upper edge of the dragged card in the list's own pixels: those whose middle lies above it. */
export const dropIndex = (sizes: ReadonlyArray<number>, gap: number, top: number): number => {
  let y = 0
  for (const [index, size] of sizes.entries()) {
    if (y + size / 2 >= top) return index
    y += size + gap
  }
  return sizes.length
}

const MOUSE_SLACK = 4
const PRESS_MS = 260
const PRESS_SLACK = 10
/** Pixels from an edge within which things scroll by themselves, and the fastest that they do, in pixels a frame. */
const EDGE = 56
const SPEED = 14

const pull = (at: number, low: number, high: number): number => {
  if (at < low + EDGE) return -SPEED * Math.min(1, (low + EDGE - at) / EDGE)
  if (at > high - EDGE) return SPEED * Math.min(1, (at - high + EDGE) / EDGE)
  return 0
}

export interface Dragging {
  readonly drag: Readonly<ShallowRef<Drag | null>>
  /** For `pointerdown` on a card. */
  readonly down: (event: PointerEvent, id: string, card: HTMLElement, from: Place) => void
  /** For `touchmove` on the board, not passive: keeps the page still under a dragging finger. */
  readonly touchmove: (event: TouchEvent) => void
}

export const useDragging = (columns: () => ReadonlyArray<DropColumn>, board: () => HTMLElement | null, drop: (drag: Drag) => void): Dragging => {
  const drag = shallowRef<Drag | null>(null)
  let stop: (() => void) | null = null

  const placeAt = (pointerX: number, top: number, id: string, fallback: Place): Place => {
    const all = columns()
    const boxes = all.map((column) => column.scroller.getBoundingClientRect())
    const distance = (box: DOMRect): number => Math.max(box.left - pointerX, pointerX - box.right, 0)
    let nearest = 0
    for (let i = 1; i < all.length; i++) if (distance(boxes[i]!) < distance(boxes[nearest]!)) nearest = i
    const column = all[nearest]
    if (column === undefined) return fallback
    const y = top - boxes[nearest]!.top + column.scroller.scrollTop - column.start
    return { status: column.status, index: dropIndex(column.sizes(id), column.gap, y) }
  }

  const down = (event: PointerEvent, id: string, card: HTMLElement, from: Place): void => {
    if (event.button !== 0 || !event.isPrimary || stop !== null) return
    const box = card.getBoundingClientRect()
    const touch = event.pointerType === "touch"
    const startX = event.clientX
    const startY = event.clientY
    let x = startX
    let y = startY
    let frame = 0

    const show = (): void => {
      const top = box.top + y - startY
      const over = placeAt(x, top, id, drag.value?.over ?? from)
      drag.value = { id, width: box.width, height: box.height, x: box.left + x - startX, y: top, over }
    }
    const scroll = (): void => {
      const field = board()
      if (field !== null) {
        const edges = field.getBoundingClientRect()
        field.scrollLeft += pull(x, edges.left, edges.right)
      }
      for (const { scroller } of columns()) {
        const edges = scroller.getBoundingClientRect()
        if (x >= edges.left && x <= edges.right) scroller.scrollTop += pull(y, edges.top, edges.bottom)
      }
      show()
      frame = requestAnimationFrame(scroll)
    }
    const begin = (): void => {
      document.documentElement.classList.add("dragging")
      getSelection()?.removeAllRanges()
      show()
      frame = requestAnimationFrame(scroll)
    }
    const press = touch ? setTimeout(begin, PRESS_MS) : undefined

    const move = (e: PointerEvent): void => {
      if (e.pointerId !== event.pointerId) return
      x = e.clientX
      y = e.clientY
      const far = Math.hypot(x - startX, y - startY)
      if (drag.value !== null) show()
      else if (touch && far > PRESS_SLACK) stop?.()
      else if (!touch && far > MOUSE_SLACK) begin()
    }
    const up = (e: PointerEvent): void => {
      if (e.pointerId !== event.pointerId) return
      const last = drag.value
      stop?.()
      if (last === null) return
      // The click that ends a drag must not open the card.
      addEventListener("click", swallow, { capture: true, once: true })
      setTimeout(() => removeEventListener("click", swallow, { capture: true }))
      drop(last)
    }
    const key = (e: KeyboardEvent): void => {
      if (e.key !== "Escape" || drag.value === null) return
      e.stopPropagation()
      stop?.()
    }
    const cancel = (): void => stop?.()
    const menu = (e: Event): void => {
      if (touch) e.preventDefault()
    }

    // The card leaves the page while it is dragged; touches that began on it still end up here.
    if (touch) card.addEventListener("touchmove", touchmove, { passive: false })
    addEventListener("pointermove", move)
    addEventListener("pointerup", up)
    addEventListener("pointercancel", cancel)
    addEventListener("blur", cancel)
    addEventListener("keydown", key, { capture: true })
    addEventListener("contextmenu", menu, { capture: true })
    stop = () => {
      stop = null
      clearTimeout(press)
      cancelAnimationFrame(frame)
      card.removeEventListener("touchmove", touchmove)
      removeEventListener("pointermove", move)
      removeEventListener("pointerup", up)
      removeEventListener("pointercancel", cancel)
      removeEventListener("blur", cancel)
      removeEventListener("keydown", key, { capture: true })
      removeEventListener("contextmenu", menu, { capture: true })
      document.documentElement.classList.remove("dragging")
      drag.value = null
    }
  }

  const touchmove = (event: TouchEvent): void => {
    if (drag.value !== null && event.cancelable) event.preventDefault()
  }
  onScopeDispose(() => stop?.())
  return { drag, down, touchmove }
}

const swallow = (event: Event): void => {
  event.preventDefault()
  event.stopPropagation()
}
