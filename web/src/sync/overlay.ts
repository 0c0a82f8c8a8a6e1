/** Pure: edits laid over a document, as the person who made them expects to see it. */
import type { Row, StoredDoc, StoredEdit } from "./store.ts"

/** The row that `doc` and then `edits`, in their order, amount to; null where it does not exist. */
export const overlaid = (doc: StoredDoc | undefined, edits: ReadonlyArray<StoredEdit>): Row | null => {
  let row: Row | null = doc?.data ?? null
  for (const edit of edits) {
    if (edit.op === "create") row = row === null ? edit.data : { ...row, ...edit.data }
    else if (edit.op === "update") row = row === null ? (edit.state === "conflict" ? edit.data : null) : { ...row, ...edit.data }
    // A deletion that was refused did not happen.
    else if (edit.state === "waiting" || edit.state === "applied") row = null
  }
  return row
}

/** The fields of `row` that `patch` names; one that is not there is null, as Postgres will say it. */
export const valuesOf = (row: Row | null, patch: Row): Row =>
  Object.fromEntries(Object.keys(patch).map((field) => [field, row?.[field] ?? null]))

/** Values as JSON has them: what the wire carries cannot tell more apart. */
export const sameValue = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a ?? null) === JSON.stringify(b ?? null)
