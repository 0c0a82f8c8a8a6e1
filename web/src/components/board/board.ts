/**
 * The board of one project: its columns, the card the keyboard is at, and what can be done to a card. Every edit goes
 * through data/edit.ts, which shows it at once and sends it on. views/ProjectView.vue makes one, its parts share it.
 */
import { computed, inject, nextTick, ref, watch, type ComputedRef, type InjectionKey, type Ref } from "vue"
import { create, update } from "../../data/edit.ts"
import { useRows } from "../../data/live.ts"
import { useAnnouncer } from "../../stores/announcer.ts"
import { useDeletions } from "../../stores/deletions.ts"
import { useSearch } from "../../stores/search.ts"
import { useWorkspace, type Task } from "../../stores/workspace.ts"
import { neighbour, type Arrow } from "./navigate.ts"
import { place } from "./position.ts"
import { STATUSES, statusEntry, type Status, type StatusEntry } from "./statuses.ts"

export interface Column {
  readonly entry: StatusEntry
  readonly tasks: ReadonlyArray<Task>
}

export interface Board {
  readonly project: Readonly<Ref<string>>
  readonly columns: ComputedRef<ReadonlyArray<Column>>
  /** The card that Tab and the arrows lead to. */
  readonly active: Ref<string | null>
  /** The card that takes the focus as soon as it is drawn. */
  readonly wanted: Ref<string | null>
  /** The column in which a task is being written. */
  readonly creating: Ref<Status | null>
  /** The card whose menu is open. */
  readonly menu: Ref<string | null>
  /** The change by somebody else for which each card glowed last: a card drawn anew does not glow again. */
  readonly glowed: Map<string, number>
  readonly comments: ComputedRef<ReadonlyMap<string, number>>
  /** Where the card is: column and row. */
  readonly whereIs: (id: string) => { readonly status: Status; readonly index: number } | null
  readonly focus: (id: string) => void
  readonly go: (arrow: Arrow) => void
  readonly move: (id: string, status: Status, index: number) => void
  readonly shift: (id: string, arrow: Arrow) => void
  readonly add: (title: string, status: Status) => string
  readonly erase: (id: string) => void
}

export const BOARD: InjectionKey<Board> = Symbol("board")
export const useBoard = (): Board => inject(BOARD)!

export const makeBoard = (project: Readonly<Ref<string>>): Board => {
  const workspace = useWorkspace()
  const search = useSearch()
  const announcer = useAnnouncer()
  const deletions = useDeletions()
  const commentDocs = useRows("comment", () => ({ scope: project.value }))
  const active = ref<string | null>(null)
  const wanted = ref<string | null>(null)
  const creating = ref<Status | null>(null)
  const menu = ref<string | null>(null)

  const all = computed(() => {
    const tasks = (workspace.tasksOf.get(project.value) ?? []).toSorted((a, b) => a.row.position - b.row.position || (a.id < b.id ? -1 : 1))
    return STATUSES.map((entry) => ({ entry, tasks: tasks.filter((task) => statusEntry(task.row.status) === entry) }))
  })
  const columns = computed(() => {
    if (search.words.length === 0) return all.value
    const shows = ({ row }: Task): boolean =>
      search.matches(`${row.title} ${(row.labels ?? []).join(" ")} ${row.assignee ? workspace.person(row.assignee).name : ""}`)
    return all.value.map(({ entry, tasks }) => ({ entry, tasks: tasks.filter(shows) }))
  })
  const comments = computed(() => {
    const counts = new Map<string, number>()
    for (const { id, row } of commentDocs.value) if (!deletions.has("comment", id)) counts.set(row.task_id, (counts.get(row.task_id) ?? 0) + 1)
    return counts
  })

  watch(project, () => {
    active.value = null
    creating.value = null
  })

  const whereIs = (id: string): { readonly status: Status; readonly index: number } | null => {
    for (const { entry, tasks } of columns.value) {
      const index = tasks.findIndex((task) => task.id === id)
      if (index >= 0) return { status: entry.id, index }
    }
    return null
  }
  const tasksIn = (status: Status): ReadonlyArray<Task> => columns.value.find((c) => c.entry.id === status)!.tasks
  const titleOf = (id: string): string => workspace.tasksOf.get(project.value)?.find((t) => t.id === id)?.row.title ?? "Task"

  const focus = (id: string): void => {
    active.value = id
    wanted.value = id
  }
  const go = (arrow: Arrow): void => {
    const next = neighbour(columns.value.map((c) => c.tasks.map((t) => t.id)), active.value, arrow)
    if (next !== null) focus(next)
  }

  /** Puts the card before the `index`-th of those shown in the column, itself left out. */
  const move = (id: string, status: Status, index: number): void => {
    const from = whereIs(id)
    if (from !== null && from.status === status && from.index === index) return
    // Cards that a search hides stay where they are: the place is found among the shown ones and made among all.
    const shown = tasksIn(status).filter((task) => task.id !== id)
    const column = all.value.find((c) => c.entry.id === status)!.tasks.filter((task) => task.id !== id)
    const before = shown[index]
    const after = shown[index - 1]
    const at = before !== undefined ? column.indexOf(before) : after !== undefined ? column.indexOf(after) + 1 : column.length
    const { position, others } = place(column.map((task) => task.row.position), at)

    update("task", id, from?.status === status ? { position } : { status, position })
    for (const [i, to] of others) update("task", column[i]!.id, { position: to })
    const name = statusEntry(status).name
    announcer.say(`${titleOf(id)} moved to ${name}, ${index + 1} of ${shown.length + 1}`)
  }

  const shift = (id: string, arrow: Arrow): void => {
    const from = whereIs(id)
    if (from === null) return
    const column = STATUSES.findIndex((s) => s.id === from.status)
    if (arrow === "ArrowUp" || arrow === "ArrowDown") {
      const index = from.index + (arrow === "ArrowUp" ? -1 : 1)
      if (index < 0 || index >= tasksIn(from.status).length) return
      move(id, from.status, index)
    } else {
      const to = STATUSES[column + (arrow === "ArrowLeft" ? -1 : 1)]
      if (to === undefined) return
      move(id, to.id, Math.min(from.index, tasksIn(to.id).length))
    }
    void nextTick(() => focus(id))
  }

  const add = (title: string, status: Status): string => {
    const id = crypto.randomUUID()
    const first = all.value.find((c) => c.entry.id === status)!.tasks[0]
    const position = place(first === undefined ? [] : [first.row.position], 0).position
    create("task", id, project.value, {
      id, project_id: project.value, title, description: "", status, assignee: null, due: null, labels: [], position,
    })
    announcer.say(`${title} created in ${statusEntry(status).name}`)
    return id
  }

  const erase = (id: string): void => {
    const from = whereIs(id)
    deletions.ask("task", id, `“${titleOf(id)}”`)
    if (from === null) return
    const left = tasksIn(from.status).filter((task) => task.id !== id)
    const next = left[Math.min(from.index, left.length - 1)]
    if (active.value === id) active.value = next?.id ?? null
    if (next !== undefined) focus(next.id)
  }

  return { project, columns, active, wanted, creating, menu, glowed: new Map(), comments, whereIs, focus, go, move, shift, add, erase }
}
