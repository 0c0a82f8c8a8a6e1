/**
 * The application's entities: the one place that lists them. An application with thirty tracked tables writes thirty lines here;
 * the replica keeps them all in one collection and asks nothing else about them.
 *
 * Columns are as Postgres sends them in JSON: timestamps and dates as ISO 8601 text.
 */
import type { Level } from "#protocol/grant.ts"

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

/** Who may do what: seen by whoever was granted it by name, changed over HTTP alone (access.ts). */
export interface GrantRow {
  readonly id: string
  /** `user:<id>`, `role:<name>` or `everyone`. */
  readonly principal: string
  /** Null: any, as in the next two. */
  readonly scope: string | null
  readonly entity: string | null
  readonly entity_id: string | null
  readonly level: Level
  readonly expires_at: string | null
  readonly granted_by: string | null
  readonly granted_at: string
}

export interface MemberRow {
  readonly role: string
  /** `user:<id>`, or `role:<name>` for a role inside a role. */
  readonly member: string
  readonly added_by: string | null
  readonly added_at: string
}

export interface Entities {
  project: ProjectRow
  task: TaskRow
  comment: CommentRow
  person: PersonRow
  file: FileRow
  _grant: GrantRow
  _member: MemberRow
}
export type EntityCode = keyof Entities & string
/** What mutations can change. */
export type EditedCode = Exclude<EntityCode, "_grant" | "_member">

/** The columns that hold an entity's id and scope: a new row is sent with them filled in. */
export const ADDRESS: Readonly<Record<EditedCode, { readonly id: string; readonly scope: string | null }>> = {
  project: { id: "id", scope: "id" },
  task: { id: "id", scope: "project_id" },
  comment: { id: "id", scope: "project_id" },
  person: { id: "id", scope: null },
  file: { id: "path", scope: "area" },
}

/** What every signed-in person's replica holds. Views ask for more while they are shown: see `useSubscription`. */
export const ALWAYS: ReadonlyArray<EntityCode> = ["project", "person", "task", "comment"]
