/** `demo history`: plays a real repository's commits through Postgres while people watch /files. */
import { Effect } from "effect"
import { readHistory } from "../../demo/history/commits.ts"
import type { Pace } from "../../demo/history/player.ts"
import { play, position, startOver } from "../../demo/history/player.ts"
import { command } from "../command.ts"
import { openDatabase } from "../connect.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { print, printJson, progress, progressDone } from "../output.ts"

/** Commits a second unless something else is asked for: seven years in six minutes. */
const DEFAULT_RATE = 20
/** Milliseconds between two progress lines where there is no terminal to overwrite them on, and where there is. */
const PROGRESS_MS = process.stderr.isTTY ? 100 : 5_000

const positive = (option: string, text: string): Effect.Effect<number, UsageError> => {
  const n = Number(text)
  return Number.isFinite(n) && n > 0
    ? Effect.succeed(n)
    : Effect.fail(new UsageError({ message: `--${option} ${text} is not a number above 0.`, hint: `For example --${option} 50.` }))
}

const paceOf = (rate: string | undefined, times: string | undefined, full: boolean): Effect.Effect<Pace, UsageError> => {
  if ([rate !== undefined, times !== undefined, full].filter(Boolean).length > 1) {
    return Effect.fail(new UsageError({ message: "--rate, --times and --full do not go together.", hint: "Give one of them." }))
  }
  if (full) return Effect.succeed({ kind: "full" })
  if (times !== undefined) return Effect.map(positive("times", times), (n) => ({ kind: "history", times: n }))
  return Effect.map(positive("rate", rate ?? String(DEFAULT_RATE)), (n) => ({ kind: "steady", commitsPerSecond: n }))
}

export const demoHistory = command({
  name: "demo history",
  summary: "play seven years of a real repository, commit by commit",
  about: "One commit is one transaction on app.file. Ctrl-C stops it; the next run goes on where it stopped. Watch /files, or `tideline tail --entity file`.",
  args: [],
  options: {
    rate: { value: "N", about: `commits a second; ${DEFAULT_RATE} unless given` },
    times: { value: "N", about: "or the history's own time, this many times faster (1000000: seven years in four minutes)" },
    full: { about: "or as fast as Postgres takes it" },
    until: { value: "N", about: "stop after commit N (of 7,117)" },
    "from-start": { about: "delete every file first and begin with the first commit" },
  },
  examples: ["demo history", "demo history --rate 200", "demo history --from-start --full"],
  failsWhen: "Postgres refused, or another player runs",
  run: ({ options, json }) =>
    Effect.gen(function* () {
      const pace = yield* paceOf(options.rate, options.times, options.full)
      const until = options.until === undefined ? undefined : yield* positive("until", options.until)
      const sql = yield* openDatabase
      const history = yield* readHistory
      if (options["from-start"]) yield* startOver(sql)
      const start = yield* position(sql)
      const end = Math.min(Math.floor(until ?? history.length), history.length)
      if (start >= end) {
        yield* json
          ? printJson({ position: start, of: history.length, commits: 0, changes: 0 })
          : print(`Commit ${start.toLocaleString("en")} of ${history.length.toLocaleString("en")} is played already. Again from the first: --from-start`)
        return EXIT.ok
      }
      let shown = 0
      let reached = start
      const played = yield* play(sql, history, {
        pace,
        until: end,
        onCommit: (now, commit) => {
          reached = now.position
          if (json || (Date.now() - shown < PROGRESS_MS && now.position < end)) return
          shown = Date.now()
          progress(`${now.position.toLocaleString("en").padStart(5)} of ${end.toLocaleString("en")}  ${new Date(commit.at * 1000).toISOString().slice(0, 10)}  ${commit.commit}  ${commit.files.length} files by author-${commit.author}`)
        },
      }).pipe(
        Effect.ensuring(Effect.sync(() => (json ? undefined : progressDone()))),
        Effect.onInterrupt(() => Effect.sync(() => console.error(`tideline: stopped after commit ${reached.toLocaleString("en")}; the next run goes on from there.`))),
      )
      yield* json ? printJson(played) : print(`Played ${played.commits.toLocaleString("en")} commits, ${played.changes.toLocaleString("en")} file changes.`)
      return EXIT.ok
    }).pipe(
      Effect.catchTag("PlayFailed", (error) => Effect.fail(new CommandFailed({ message: error.message, hint: error.hint }))),
      Effect.catchTag("HistoryUnreadable", (error) => Effect.fail(new CommandFailed({ message: error.message, hint: error.hint }))),
    ),
})
