import { describe, expect, it } from "vitest"
import { editWords, valueWords } from "./describe-edit.ts"

const person = (id: string) => ({ id, name: id === "ada" ? "Ada" : id, colour: "#123456" })

describe("edits in words", () => {
  it("name what was done", () => {
    expect(editWords({ entity: "task", op: "create", data: { title: "x" } })).toBe("New task")
    expect(editWords({ entity: "comment", op: "delete", data: {} })).toBe("Deleted the comment")
    expect(editWords({ entity: "task", op: "update", data: { status: "done", position: 3 } })).toBe("Moved to Done")
    expect(editWords({ entity: "task", op: "update", data: { position: 3 } })).toBe("Moved within its column")
    expect(editWords({ entity: "task", op: "update", data: { title: "x", due: null } })).toBe("Title, Due")
  })
  it("read values as people do", () => {
    expect(valueWords("assignee", "ada", person)).toBe("Ada")
    expect(valueWords("assignee", null, person)).toBe("Nobody")
    expect(valueWords("status", "review", person)).toBe("Review")
    expect(valueWords("labels", ["a", "b"], person)).toBe("a, b")
    expect(valueWords("title", "Fix it", person)).toBe("Fix it")
  })
})
