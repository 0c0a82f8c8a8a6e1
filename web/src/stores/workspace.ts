/** What every view of the signed-in person needs at hand: people, projects, tasks by project. One live query each. */
import { defineStore } from "pinia"
import { computed } from "vue"
import type { Doc } from "../data/doc.ts"
import { useRows } from "../data/live.ts"
import { useDeletions } from "./deletions.ts"

export type Task = Doc<"task">
export type Project = Doc<"project">

export interface Person {
  readonly id: string
  readonly name: string
  readonly colour: string
}

export const useWorkspace = defineStore("workspace", () => {
  const deletions = useDeletions()
  const personDocs = useRows("person", () => ({}))
  const projectDocs = useRows("project", () => ({}))
  const taskDocs = useRows("task", () => ({}))

  const people = computed<ReadonlyArray<Person>>(() =>
    personDocs.value
      .map(({ id, row }) => ({ id, name: row.name, colour: row.color }))
      .toSorted((a, b) => a.name.localeCompare(b.name)),
  )
  const byId = computed(() => new Map(people.value.map((person) => [person.id, person])))
  /** Who `id` is; somebody one may not see, or who left, is known by the id alone. */
  const person = (id: string): Person => byId.value.get(id) ?? { id, name: id.charAt(0).toUpperCase() + id.slice(1), colour: id }

  const projects = computed(() =>
    projectDocs.value.toSorted((a, b) => a.row.position - b.row.position || a.row.name.localeCompare(b.row.name)),
  )
  const project = (id: string): Project | null => projectDocs.value.find((p) => p.id === id) ?? null

  const tasks = computed(() => taskDocs.value.filter((task) => !deletions.has("task", task.id)))
  const tasksOf = computed(() => Map.groupBy(tasks.value, (task) => task.row.project_id))
  const openOf = (projectId: string): number => tasksOf.value.get(projectId)?.filter((task) => task.row.status !== "done").length ?? 0

  return { people, person, projects, project, tasks, tasksOf, openOf }
})
