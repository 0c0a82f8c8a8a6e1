/**
 * Plays the repository history through Postgres: one commit is one transaction, one file change is one row change, and so
 * exactly one event. Nothing here knows of events: app.file is a tracked table like any other.
 *
 * | listed    | the row is | done to it                                       |
 * |-----------|------------|--------------------------------------------------|
 * | `c`, `u`  | absent     | INSERT (the history updates 6 times what it never created) |
 * | `c`, `u`  | there      | UPDATE                                           |
 * | `d`       | there      | DELETE                                           |
 * | `d`       | absent     | refused: it would be a change without an event. Never happens in this history. |
 *
 * The position stands in app.history_position and moves in the same transaction, only from the value it was read at. So a
 * player that was killed goes on where it stopped, and of two players the later is refused.
 */
import { Clock, Effect, Schema } from "effect"
import type { Sql, TransactionSql } from "postgres"
import type { Commit } from "./commits.ts"
import { areaOf } from "./commits.ts"

export class PlayFailed extends Schema.TaggedError<PlayFailed>()("PlayFailed", {
  message: Schema.String,
  hint: Schema.String,
}) {}

/** Full speed, a steady number of commits a second, or the history's own time so many times faster. */
export type Pace =
  | { readonly kind: "full" }
  | { readonly kind: "steady"; readonly commitsPerSecond: number }
  | { readonly kind: "history"; readonly times: number }

interface Played {
  /** Commits that stand in Postgres now, from the first. */
  readonly position: number
  readonly of: number
  /** Commits and file changes played by this run. */
  readonly commits: number
  readonly changes: number
}

export interface PlayOptions {
  readonly pace: Pace
  /** Play up to this many commits from the first; all where absent. */
  readonly until?: number
  /** Called after each commit. */
  readonly onCommit?: (played: Played, commit: Commit) => void
}

/** Milliseconds of a pause in the history's own time beyond which nobody wants to wait. */
const LONGEST_PAUSE_MS = 10_000

/** Plays from where the last player stopped. Interrupt it to stop; the commit under way is finished or undone whole. */
export const play = Effect.fnUntraced(function* (sql: Sql, history: ReadonlyArray<Commit>, options: PlayOptions) {
  const start = yield* position(sql)
  const end = Math.min(options.until ?? history.length, history.length)
  const pause = pacing(history, start, options.pace, yield* Clock.currentTimeMillis)
  let played: Played = { position: start, of: history.length, commits: 0, changes: 0 }
  for (let i = start; i < end; i++) {
    const commit = history[i]!
    const wait = pause(i, yield* Clock.currentTimeMillis)
    if (wait > 0) yield* Effect.sleep(wait)
    yield* Effect.uninterruptible(attempt(() => sql.begin((tx) => apply(tx, commit, i))))
    played = { ...played, position: i + 1, commits: played.commits + 1, changes: played.changes + commit.files.length }
    options.onCommit?.(played, commit)
  }
  return played
})

/** Commits played so far. */
export const position = (sql: Sql): Effect.Effect<number, PlayFailed> =>
  attempt(async () => (await sql<Array<{ position: number }>>`select position from app.history_position`)[0]!.position)

/** Deletes every file (each deletion is an event too) and stands at the beginning again. */
export const startOver = (sql: Sql): Effect.Effect<void, PlayFailed> =>
  attempt(() =>
    sql.begin(async (tx) => {
      await tx`delete from app.file`
      await tx`update app.history_position set position = 0, commit = null, at = null`
    }),
  ).pipe(Effect.asVoid)

/** Milliseconds to wait before commit `i`: against the clock, so that slow commits do not add up. */
const pacing = (history: ReadonlyArray<Commit>, start: number, pace: Pace, startedAt: number) => {
  if (pace.kind === "full") return () => 0
  let due = startedAt
  return (i: number, now: number): number => {
    if (i === start) return 0
    const gap = pace.kind === "steady"
      ? 1000 / pace.commitsPerSecond
      : Math.min(LONGEST_PAUSE_MS, (1000 * Math.max(0, history[i]!.at - history[i - 1]!.at)) / pace.times)
    due = Math.max(due + gap, now - LONGEST_PAUSE_MS)
    return due - now
  }
}

/** One commit, one transaction. The statements are sent together: a commit costs one round trip and its own commit. */
const apply = async (tx: TransactionSql, commit: Commit, before: number): Promise<void> => {
  const kept = commit.files.filter(([op]) => op !== "d")
  const deleted = commit.files.filter(([op]) => op === "d").map(([, path]) => path)
  const at = new Date(commit.at * 1000)
  const [, moved, , gone] = await Promise.all([
    tx`select set_config('tide.user_id', ${`author-${commit.author}`}, true), set_config('tide.request_id', ${commit.commit}, true),
              set_config('tide.endpoint', 'demo/history', true)`,
    tx`update app.history_position set position = ${before + 1}, commit = ${commit.commit}, at = ${at} where position = ${before}`,
    kept.length === 0 ? null : tx`
      insert into app.file as f (path, area, lines, added, deleted, commits, last_commit, last_author, last_at)
      select path, area, greatest(0, added - deleted), added, deleted, 1, ${commit.commit}, ${commit.author}::int, ${at}
        from unnest(${kept.map(([, path]) => path)}::text[], ${kept.map(([, path]) => areaOf(path))}::text[],
                    ${kept.map(([, , added]) => added ?? 0)}::int[], ${kept.map(([, , , lost]) => lost ?? 0)}::int[])
          as t(path, area, added, deleted)
      on conflict (path) do update
         set lines = greatest(0, f.lines + excluded.added - excluded.deleted),
             added = f.added + excluded.added, deleted = f.deleted + excluded.deleted, commits = f.commits + 1,
             last_commit = excluded.last_commit, last_author = excluded.last_author, last_at = excluded.last_at`,
    deleted.length === 0 ? null : tx`delete from app.file where path = any(${deleted}::text[])`,
  ])
  if (moved.count !== 1) {
    throw new PlayFailed({
      message: `Commit ${before + 1} (${commit.commit}) was played by somebody else in the meantime.`,
      hint: "Another player is running: let one finish, or end it.",
    })
  }
  if ((gone?.count ?? 0) !== deleted.length) {
    throw new PlayFailed({
      message: `Commit ${before + 1} (${commit.commit}) deletes ${deleted.length} files of which ${gone?.count ?? 0} are there.`,
      hint: "Somebody else changed app.file: start over with --from-start.",
    })
  }
}

const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, PlayFailed> =>
  Effect.tryPromise({
    try: run,
    catch: (cause) =>
      cause instanceof PlayFailed ? cause : new PlayFailed({
        message: `Postgres refused: ${cause instanceof Error ? cause.message : String(cause)}`,
        hint: "Is Postgres up and the demo's schema there (npm start makes it)? `npx tideline doctor` tells.",
      }),
  })
