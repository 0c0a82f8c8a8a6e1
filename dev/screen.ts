/** What a person sees of `npm start` and `npm test`: one line a step, with a tick and the seconds it took. Calm without a terminal too. */
import { Cause, Effect } from "effect"

export interface Screen {
  /** Shows the effect as a step. `detail` makes a text from its result, to stand behind the title. */
  readonly step: <A, E, R>(title: string, effect: Effect.Effect<A, E, R>, detail?: (result: A) => string) => Effect.Effect<A, E, R>
  /** Something that happened beside the steps. */
  readonly note: (text: string) => void
  /** Something that went wrong beside the steps. */
  readonly warn: (text: string) => void
  /** A line as it is. */
  readonly line: (text: string) => void
}

/** Several steps may be under way at once: on a terminal the last line names them, and finished ones are written above it. */
export const makeScreen = (out: NodeJS.WriteStream = process.stdout, live: boolean = out.isTTY && process.env["CI"] === undefined): Screen => {
  const under: Array<{ readonly title: string; readonly began: number }> = []
  let timer: NodeJS.Timeout | null = null

  const erase = (): void => void (live && out.write("\r\x1b[2K"))
  const draw = (): void => {
    if (!live || under.length === 0) return
    const names = under.map((step) => step.title).join(", ")
    const width = Math.max(20, (out.columns ?? 80) - 14)
    out.write(`  … ${names.length > width ? `${names.slice(0, width - 1)}…` : names}  ${seconds(under[0]!.began)}`)
  }
  const line = (text: string): void => {
    erase()
    out.write(`${text}\n`)
    draw()
  }
  const tick = (): void => {
    if (under.length > 0 && timer === null && live) {
      timer = setInterval(() => {
        erase()
        draw()
      }, 200)
      timer.unref()
    }
    if (under.length === 0 && timer !== null) {
      clearInterval(timer)
      timer = null
    }
  }

  return {
    line,
    note: (text) => line(`  · ${text}`),
    warn: (text) => line(`  ! ${text}`),
    step: (title, effect, detail) =>
      Effect.suspend(() => {
        const step = { title, began: Date.now() }
        under.push(step)
        tick()
        erase()
        draw()
        const done = (mark: string, more: string): void => {
          under.splice(under.indexOf(step), 1)
          tick()
          // What was given up because something else failed is no failure of its own.
          if (mark !== "") line(`  ${mark} ${`${title}${more === "" ? "" : `  ${more}`}`.padEnd(52)}  ${seconds(step.began)}`)
        }
        return effect.pipe(
          Effect.onExit((exit) => Effect.sync(() => (exit._tag === "Success" ? done("✓", detail?.(exit.value) ?? "") : done(Cause.hasInterruptsOnly(exit.cause) ? "" : "✗", "")))),
        )
      }),
  }
}

const seconds = (began: number): string => `${((Date.now() - began) / 1000).toFixed(1)} s`
