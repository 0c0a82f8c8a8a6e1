import { expect, it } from "vitest"
import type { Notice } from "../../data/news.ts"
import { summarise } from "../../data/news.ts"
import type { StoredDoc, StoredEdit } from "../../sync/store.ts"
import { newsWords } from "./news-words.ts"

const quiet: Notice = { lost: [], lostKind: "project", lostCount: 0, gone: [], gained: [], edits: 0, drafts: 0 }
const words = (over: Partial<Notice>, open: string | null = null): string | null => newsWords({ ...quiet, ...over }, open)

it("names what somebody knew, and counts their own work", () => {
  expect(words({ lost: ["Ferry booking"], lostCount: 1, edits: 2, drafts: 1 })).toBe("You no longer have access to Ferry booking; 2 edits and a draft were removed.")
  expect(words({ lost: ["A", "B", "C"], lostCount: 3 })).toBe("You no longer have access to A, B and 1 more.")
  expect(words({ lost: ["Oil the winch"], lostKind: "task", lostCount: 1, drafts: 1 })).toBe("You no longer have access to “Oil the winch”; a draft was removed.")
  expect(words({ lost: ["A", "B"], lostKind: "task", lostCount: 40 })).toBe("You no longer have access to 40 tasks.")
})
it("says that something is gone only where it stands open, or own work went with it", () => {
  const gone = [{ id: "t", name: "Oil the winch", kind: "task" as const }]
  expect(words({ gone })).toBeNull()
  expect(words({ gone }, "t")).toBe("“Oil the winch” is no longer here.")
  expect(words({ gone, edits: 1 })).toBe("“Oil the winch” is no longer here; an edit was removed.")
  expect(words({ gone: [{ id: "p", name: "Ferry booking", kind: "project" }, ...gone, ...gone], drafts: 1 })).toBe("Ferry booking is no longer here; a draft was removed.")
  expect(words({ edits: 3 })).toBe("What you were working on is no longer here; 3 edits were removed.")
})
it("says what is gained", () => {
  expect(words({ gained: ["Summer regatta"] })).toBe("Summer regatta is now shared with you.")
  expect(words({ gained: ["A", "B"], lost: ["C"], lostCount: 1 })).toBe("You no longer have access to C. A and B are now shared with you.")
})
it("sums news up: projects before tasks, deletions are no work, the text that was seen no draft", () => {
  const doc = (entity: string, id: string, data: StoredDoc["data"]): StoredDoc => ({ key: `${entity}|${id}`, entity, id, scope: "p", version: 1, data, by: null, at: "" })
  const lost = [doc("task", "t", { title: "T" }), doc("project", "p", { name: "P" }), doc("comment", "c", {})]
  const draft = (field: string) => ({ key: `task|t|${field}`, entity: "task", entityId: "t", scope: "p", field, value: "", at: 0 })
  const edit = (op: StoredEdit["op"]): StoredEdit => ({ id: op, mutationId: op, entity: "task", entityId: "t", scope: "p", op, base: {}, data: {}, state: "waiting", at: 0, appliedAt: null, current: null, message: null })
  expect(summarise({ lost, gone: [], gained: [], edits: [edit("update"), edit("delete")], drafts: [draft("title"), draft("title.seen")] })).toEqual({
    ...quiet, lost: ["P"], lostCount: 1, edits: 1, drafts: 1,
  })
  expect(summarise({ lost: [lost[2]!], gone: [], gained: [], edits: [], drafts: [] })).toBeNull()
})
