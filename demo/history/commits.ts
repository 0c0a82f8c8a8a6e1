/**
 * The history demo's input: 7,117 commits of a real repository with the 25,007 file changes they made. The player turns
 * each commit into one transaction, so that everything behind it meets the rhythm, sizes and hot spots of real work.
 */
import { Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { promisify } from "node:util"
import { gunzip } from "node:zlib"

const file = new URL("./repository-history.jsonl.gz", import.meta.url)

/** Commits in the history. */
export const COMMITS = 7_117
/** File changes in all of them: as many events end up in the stream. */
export const CHANGES = 25_007

/** `c` created, `u` updated, `d` deleted; then the path, lines added, lines deleted (null: not a text file). */
const FileChange = Schema.Tuple([
  Schema.Literals(["c", "u", "d"]),
  Schema.String,
  Schema.NullOr(Schema.Int),
  Schema.NullOr(Schema.Int),
])

const Commit = Schema.Struct({
  /** Twelve hex digits. */
  commit: Schema.String,
  /** Seconds since 1970 at which it was written; a few stand before their predecessor's. */
  at: Schema.Int,
  /** Who: a number. */
  author: Schema.Int,
  /** No path stands twice in one commit. */
  files: Schema.Array(FileChange),
})
export type Commit = typeof Commit.Type

export class HistoryUnreadable extends Schema.TaggedError<HistoryUnreadable>()("HistoryUnreadable", {
  message: Schema.String,
  hint: Schema.String,
}) {}

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(Commit))

/** Every commit, oldest first. */
export const readHistory: Effect.Effect<ReadonlyArray<Commit>, HistoryUnreadable> = Effect.tryPromise({
  try: async () => {
    const text = (await promisify(gunzip)(await readFile(file))).toString("utf8")
    return text.trimEnd().split("\n").map((line) => decodeLine(line))
  },
  catch: (cause) =>
    new HistoryUnreadable({
      message: `The repository history cannot be read: ${String(cause)}`,
      hint: "demo/history/repository-history.jsonl.gz is part of the project: restore it with git checkout.",
    }),
})

/** Where a file belongs, its scope: the first two segments of its path, or the first where there is but one. */
export const areaOf = (path: string): string => path.split("/", 2).join("/")
