/**
 * The files as a few pictures a second: while commits play, thousands of rows may change in that time, and the eye follows no
 * faster. A path that changed, and every folder above it, glows; the number in `glows` grows with each change.
 */
import { onScopeDispose, shallowRef, watch, type ShallowRef } from "vue"
import { useRows, useSubscription } from "../../data/live.ts"
import { buildTree, newestCommits, withFolders, type CommitSeen, type Folder } from "./tree.ts"

export interface Picture {
  readonly root: Folder
  readonly commits: ReadonlyArray<CommitSeen>
  /** How often each path changed since the page was opened. */
  readonly glows: ReadonlyMap<string, number>
}

/** Commits in the ticker. */
const TICKER = 12
/** Milliseconds between two pictures; the first change after a pause shows at once. */
const PACE_MS = 125

export const useFiles = (): Readonly<ShallowRef<Picture>> => {
  useSubscription("file")
  const rows = useRows("file", () => ({}))
  const versions = new Map<string, number>()
  const glows = new Map<string, number>()
  let first = true
  let timer: ReturnType<typeof setTimeout> | undefined
  let last = 0

  const draw = (): Picture => {
    const docs = rows.value
    for (const { id, version } of docs) {
      if (versions.get(id) === version) continue
      versions.set(id, version)
      if (!first) for (const path of withFolders(id)) glows.set(path, (glows.get(path) ?? 0) + 1)
    }
    // Of files that are gone, or may not be seen any more, nothing is remembered.
    if (versions.size > docs.length) {
      const there = new Set(docs.flatMap(({ id }) => withFolders(id)))
      for (const id of versions.keys()) if (!there.has(id)) versions.delete(id)
      for (const path of glows.keys()) if (!there.has(path)) glows.delete(path)
    }
    // What one finds on opening the page is not news.
    first = docs.length === 0
    const files = docs.map((doc) => doc.row)
    return { root: buildTree(files), commits: newestCommits(files, TICKER), glows: new Map(glows) }
  }
  const picture = shallowRef(draw())
  watch(rows, () => {
    timer ??= setTimeout(() => {
      timer = undefined
      last = performance.now()
      picture.value = draw()
    }, Math.max(0, last + PACE_MS - performance.now()))
  })
  onScopeDispose(() => clearTimeout(timer))
  return picture
}
