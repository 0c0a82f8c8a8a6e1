/**
 * The application's entities: the one place that lists them. An application with thirty tracked tables writes thirty lines here;
 * the replica keeps them all in one collection and asks nothing else about them.
 *
 * Columns are as Postgres sends them in JSON: timestamps and dates as ISO 8601 text.
 */
export interface ProjectRow {
  readonly id: string
  readonly name: string
  /** A CSS colour. */
  readonly color: string
  readonly position: number
}

export type TaskStatus = "todo" | "doing" | "review" | "done"

export interface TaskRow {
  readonly id: string
  readonly project_id: string
  readonly title: string
  readonly description: string
  readonly status: TaskStatus
  /** A person's id. */
  readonly assignee: string | null
  /** `2026-11-21`. */
  readonly due: string | null
  readonly labels: ReadonlyArray<string>
  /** Place in its column: a new one between two others is their mean. */
  readonly position: number
  readonly created_by: string | null
  readonly created_at: string
  readonly updated_at: string
}

export interface CommentRow {
  readonly id: string
  readonly project_id: string
  readonly task_id: string
  readonly author: string
  readonly body: string
  readonly created_at: string
}

export interface PersonRow {
  readonly id: string
  readonly name: string
  readonly color: string
}

/** One file of the repository history that `/files` plays. */
export interface FileRow {
  readonly path: string
  /** Its top folder: the scope. */
  readonly area: string
  readonly lines: number
  readonly added: number
  readonly deleted: number
  readonly commits: number
  readonly last_commit: string
  readonly last_author: number
  readonly last_at: string
}

export interface Entities {
  project: ProjectRow
  task: TaskRow
  comment: CommentRow
  person: PersonRow
  file: FileRow
}
export type EntityCode = keyof Entities & string

/** The columns that hold an entity's id and scope: a new row is sent with them filled in. */
export const ADDRESS: Readonly<Record<EntityCode, { readonly id: string; readonly scope: string | null }>> = {
  project: { id: "id", scope: "id" },
  task: { id: "id", scope: "project_id" },
  comment: { id: "id", scope: "project_id" },
  person: { id: "id", scope: null },
  file: { id: "path", scope: "area" },
}

/** What every signed-in person's replica holds. Views ask for more while they are shown: see `useSubscription`. */
export const ALWAYS: ReadonlyArray<EntityCode> = ["project", "person", "task", "comment"]
