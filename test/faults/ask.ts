/** What the command line asks for, or what is wrong with it. Pure. */
import { parseArgs } from "node:util"
import { KINDS } from "./kinds/all.ts"
import { STEPS } from "./steps/all.ts"

const names = (values: ReadonlyArray<{ readonly name: string; readonly what: string }>): string => {
  const width = Math.max(...values.map(({ name }) => name.length))
  return values.map(({ name, what }) => `  ${name.padEnd(width)}  ${what}`).join("\n")
}

export const USAGE = `npm run faults -- [--seed N] [--minutes M] [--only kind,kind] [--json FILE]

Starts a Postgres, a nats-server, two relays, two edges, two authz and the command service of its own on loopback ports, writes without
rest, breaks one thing after the other by chance, and holds every promise against what is there; what clients who write and watch were
shown, against Postgres and against the log. Ends with "N checks, 0 violations" and code 0, or names them and ends with 1.
Ctrl-C ends it with the report so far, and code 130.

  --seed N          makes the choices of that seed again; any unless told
  --minutes M       how long, fractions too; 5 unless told
  --only kind,kind  only these kinds of faults
  --json FILE       also writes the report as JSON

Where --only names no kind that strikes an edge, an authz or the command service, there are none of these, and no clients.

Kinds:
${names(KINDS)}

Steps of the relay's loop at which they strike:
${names(STEPS)}`

export interface Asked {
  readonly seed: number
  readonly minutes: number
  readonly only: ReadonlyArray<string> | undefined
  readonly json: string | undefined
}

/** A seed is a 32-bit number. */
const SEEDS = 2 ** 32
const MINUTES = 5
const MOST_MINUTES = 24 * 60

/** `help`, a problem in words, or what is asked for. `anySeed`: where none is named. */
export const asked = (words: ReadonlyArray<string>, anySeed: number): Asked | "help" | { readonly problem: string } => {
  let values: { seed?: string | undefined; minutes?: string | undefined; only?: string | undefined; json?: string | undefined; help?: boolean | undefined }
  try {
    const options = { seed: { type: "string" }, minutes: { type: "string" }, only: { type: "string" }, json: { type: "string" }, help: { type: "boolean", short: "h" } } as const
    values = parseArgs({ args: [...words], options }).values
  } catch (cause) {
    return { problem: (cause as Error).message }
  }
  if (values.help === true) return "help"
  const seed = values.seed === undefined ? anySeed : /^\d{1,10}$/.test(values.seed) ? Number(values.seed) : Number.NaN
  if (!(seed < SEEDS)) return { problem: `--seed ${values.seed}: a seed is a whole number from 0 to ${SEEDS - 1}.` }
  const minutes = values.minutes === undefined ? MINUTES : /^\d+(\.\d+)?$/.test(values.minutes) ? Number(values.minutes) : Number.NaN
  if (!(minutes > 0 && minutes <= MOST_MINUTES)) return { problem: `--minutes ${values.minutes}: a number above 0, at most ${MOST_MINUTES}.` }
  const only = values.only?.split(",").map((name) => name.trim()).filter((name) => name !== "")
  const unknown = only?.find((name) => !KINDS.some((kind) => kind.name === name))
  if (unknown !== undefined) return { problem: `--only: there is no kind "${unknown}".` }
  if (only?.length === 0) return { problem: "--only: name at least one kind." }
  return { seed, minutes, only, json: values.json }
}
