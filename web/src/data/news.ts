/** What of a replica's news (sync/losses.ts) people hear of: projects and tasks by name, and own work that was removed. Plain data: it goes to every tab. */
import type { News } from "../sync/losses.ts"
import type { StoredDoc } from "../sync/store.ts"

export interface Notice {
  /** Names of projects, or the titles of tasks where no project was lost, that were taken away; all that were is `lostCount`. */
  readonly lost: ReadonlyArray<string>
  readonly lostKind: "project" | "task"
  readonly lostCount: number
  /** Tasks and projects that are not there any more, and nobody took away. */
  readonly gone: ReadonlyArray<{ readonly id: string; readonly name: string; readonly kind: "project" | "task" }>
  /** Names of projects. */
  readonly gained: ReadonlyArray<string>
  /** Own work that was removed with what it was about. */
  readonly edits: number
  readonly drafts: number
}

/** Names in one notice: beyond that a number says enough. */
const NAMES = 20

export const summarise = ({ lost, gone, gained, edits, drafts }: News): Notice | null => {
  const projects = of(lost, "project")
  const tasks = of(lost, "task")
  const notice: Notice = {
    lost: names(projects.length > 0 ? projects : tasks),
    lostKind: projects.length > 0 ? "project" : "task",
    lostCount: projects.length > 0 ? projects.length : tasks.length,
    gone: [...of(gone, "project"), ...of(gone, "task")].slice(0, NAMES).map((doc) => ({ id: doc.id, name: nameOf(doc), kind: doc.entity === "project" ? "project" : "task" })),
    gained: names(of(gained, "project")),
    // Whoever wanted it deleted has what they wanted.
    edits: edits.filter((edit) => edit.op !== "delete").length,
    // What stood there when the typing began lies beside the draft, as one of its own.
    drafts: drafts.filter((draft) => !draft.field.endsWith(".seen")).length,
  }
  const { lostCount, gone: left, gained: got, edits: count, drafts: texts } = notice
  return lostCount + left.length + got.length + count + texts > 0 ? notice : null
}

const of = (docs: ReadonlyArray<StoredDoc>, entity: "project" | "task"): ReadonlyArray<StoredDoc> => docs.filter((doc) => doc.entity === entity)
const nameOf = ({ entity, data }: StoredDoc): string => String(data?.[entity === "project" ? "name" : "title"] ?? "")
const names = (docs: ReadonlyArray<StoredDoc>): ReadonlyArray<string> => docs.slice(0, NAMES).map(nameOf).toSorted()
