import { describe, expect, it } from "vitest"
import { commandOf, type Pressed } from "./keys.ts"

const press = (key: string, held: Partial<Pressed> = {}): Pressed =>
  ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held })

describe("keys", () => {
  it("mean what the help says", () => {
    expect(commandOf(press("c"), false)).toEqual({ do: "create" })
    expect(commandOf(press("/"), false)).toEqual({ do: "search" })
    expect(commandOf(press("?", { shiftKey: true }), false)).toEqual({ do: "help" })
    expect(commandOf(press("3"), false)).toEqual({ do: "move", to: "review" })
    expect(commandOf(press("ArrowLeft"), false)).toEqual({ do: "go", arrow: "ArrowLeft" })
    expect(commandOf(press("ArrowUp", { altKey: true }), false)).toEqual({ do: "shift", arrow: "ArrowUp" })
    expect(commandOf(press("z", { metaKey: true }), false)).toEqual({ do: "undo" })
  })
  it("leave letters to the one who writes", () => {
    for (const key of ["c", "/", "?", "1", "ArrowUp", "Enter", "Delete"]) expect(commandOf(press(key), true)).toBeNull()
    expect(commandOf(press("z", { ctrlKey: true }), true)).toBeNull()
    expect(commandOf(press("Escape"), true)).toEqual({ do: "close" })
    expect(commandOf(press("k", { ctrlKey: true }), true)).toEqual({ do: "palette" })
  })
  it("leave the browser's own combinations alone", () => {
    for (const key of ["c", "1", "Enter", "r", "f"]) expect(commandOf(press(key, { ctrlKey: true }), false)).toBeNull()
    expect(commandOf(press("1", { altKey: true }), false)).toBeNull()
  })
})
