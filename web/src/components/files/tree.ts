/** The files of a repository as folders: sums for each, and the rows that show when some folders are open. Pure. */

/** What of a `file` row counts here. */
export interface FileFacts {
  readonly path: string
  readonly lines: number
  readonly commits: number
  readonly last_commit: string
  readonly last_author: number
  readonly last_at: string
}

export interface Folder {
  /** Without a slash at the end; empty for the root. */
  readonly path: string
  readonly name: string
  readonly folders: ReadonlyArray<Folder>
  readonly files: ReadonlyArray<FileFacts>
  /** In it, however deep. */
  readonly fileCount: number
  readonly lines: number
  readonly commits: number
  /** Of the newest change in it. */
  readonly lastAt: string
}

export interface TreeRow {
  readonly path: string
  readonly name: string
  readonly depth: number
  /** Null for a file. */
  readonly folder: Folder | null
  readonly open: boolean
  readonly lines: number
  readonly commits: number
  readonly lastAt: string
}

interface Growing {
  readonly path: string
  readonly name: string
  readonly folders: Map<string, Growing>
  readonly files: Array<FileFacts>
}

export const buildTree = (files: ReadonlyArray<FileFacts>): Folder => {
  const root: Growing = { path: "", name: "", folders: new Map(), files: [] }
  for (const file of files) {
    let at = root
    let from = 0
    for (let slash = file.path.indexOf("/"); slash >= 0; slash = file.path.indexOf("/", from)) {
      const name = file.path.slice(from, slash)
      let next = at.folders.get(name)
      if (next === undefined) {
        next = { path: file.path.slice(0, slash), name, folders: new Map(), files: [] }
        at.folders.set(name, next)
      }
      at = next
      from = slash + 1
    }
    at.files.push(file)
  }
  return finish(root)
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

const finish = (growing: Growing): Folder => {
  const folders = [...growing.folders.values()].sort(byName).map(finish)
  const files = growing.files.sort((a, b) => (a.path < b.path ? -1 : 1))
  let fileCount = files.length
  let lines = 0
  let commits = 0
  let lastAt = ""
  for (const file of files) {
    lines += file.lines
    commits += file.commits
    if (file.last_at > lastAt) lastAt = file.last_at
  }
  for (const folder of folders) {
    fileCount += folder.fileCount
    lines += folder.lines
    commits += folder.commits
    if (folder.lastAt > lastAt) lastAt = folder.lastAt
  }
  return { path: growing.path, name: growing.name, folders, files, fileCount, lines, commits, lastAt }
}

/** The rows that show: folders first, each followed by what is in it where `isOpen`. */
export const visibleRows = (root: Folder, isOpen: (path: string) => boolean): ReadonlyArray<TreeRow> => {
  const rows: Array<TreeRow> = []
  const walk = (folder: Folder, depth: number): void => {
    for (const child of folder.folders) {
      const open = isOpen(child.path)
      rows.push({ path: child.path, name: child.name, depth, folder: child, open, lines: child.lines, commits: child.commits, lastAt: child.lastAt })
      if (open) walk(child, depth + 1)
    }
    for (const file of folder.files) {
      rows.push({ path: file.path, name: file.path.slice(file.path.lastIndexOf("/") + 1), depth, folder: null, open: false, lines: file.lines, commits: file.commits, lastAt: file.last_at })
    }
  }
  walk(root, 0)
  return rows
}

/** A path and every folder above it, innermost first. */
export const withFolders = (path: string): ReadonlyArray<string> => {
  const paths = [path]
  for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) paths.push(path.slice(0, slash))
  return paths
}

export interface CommitSeen {
  readonly id: string
  readonly author: number
  readonly at: string
  /** How many files have it as their newest. */
  readonly files: number
}

/** The newest commits that any file still shows, newest first. */
export const newestCommits = (files: ReadonlyArray<FileFacts>, most: number): ReadonlyArray<CommitSeen> => {
  const commits = new Map<string, { id: string; author: number; at: string; files: number }>()
  for (const { last_commit, last_author, last_at } of files) {
    const known = commits.get(last_commit)
    if (known === undefined) commits.set(last_commit, { id: last_commit, author: last_author, at: last_at, files: 1 })
    else known.files++
  }
  return [...commits.values()].sort((a, b) => (a.at > b.at ? -1 : a.at < b.at ? 1 : a.id < b.id ? -1 : 1)).slice(0, most)
}
