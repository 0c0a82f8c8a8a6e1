import { describe, expect, it } from "vitest"
import { buildTree, newestCommits, visibleRows, withFolders, type FileFacts } from "./tree.ts"

const file = (path: string, lines: number, at: string, commit = "c1"): FileFacts => ({ path, lines, commits: 1, last_commit: commit, last_author: 7, last_at: at })
const files = [file("src/b/two.ts", 20, "2015-02-01"), file("src/a.ts", 5, "2016-01-01", "c2"), file("README.md", 3, "2014-01-01"), file("docs/x.md", 1, "2015-02-01")]

describe("the tree of files", () => {
  it("sums what is in a folder, however deep", () => {
    const root = buildTree(files)
    expect([root.fileCount, root.lines, root.commits, root.lastAt]).toEqual([4, 29, 4, "2016-01-01"])
    expect(root.folders.map((f) => [f.path, f.fileCount, f.lines])).toEqual([["docs", 1, 1], ["src", 2, 25]])
  })
  it("shows folders first and opens what is open", () => {
    const root = buildTree(files)
    const names = (open: ReadonlyArray<string>) => visibleRows(root, (path) => open.includes(path)).map((row) => `${"  ".repeat(row.depth)}${row.name}`)
    expect(names([])).toEqual(["docs", "src", "README.md"])
    expect(names(["src", "src/b"])).toEqual(["docs", "src", "  b", "    two.ts", "  a.ts", "README.md"])
  })
  it("knows the folders above a path", () => {
    expect(withFolders("src/b/two.ts")).toEqual(["src/b/two.ts", "src/b", "src"])
    expect(withFolders("README.md")).toEqual(["README.md"])
  })
  it("finds the newest commits", () => {
    expect(newestCommits(files, 2)).toEqual([{ id: "c2", author: 7, at: "2016-01-01", files: 1 }, { id: "c1", author: 7, at: "2015-02-01", files: 3 }])
  })
})
