/** From the words after `tideline` to a command and its input, or to the help somebody asked for. Pure. */
import { Result } from "effect"
import { parseArgs } from "node:util"
import type { Command } from "./command.ts"
import { UsageError } from "./failure.ts"

/** An input as `run` of the command takes it: its declaration guarantees the types. */
interface Parsed {
  readonly args: Readonly<Record<string, string | undefined>>
  readonly options: Readonly<Record<string, string | boolean | undefined>>
  readonly json: boolean
}

export type Invocation =
  | { readonly kind: "run"; readonly command: Command; readonly input: Parsed }
  | { readonly kind: "help"; readonly command: Command | null }

/** Options of every command. */
export const COMMON = {
  json: { about: "results as JSON on standard output, errors as JSON on standard error" },
  help: { about: "this text" },
} as const

/** Fails with a usage error that says what was wrong, and which command it was about. */
export const parse = (
  commands: ReadonlyArray<Command>,
  words: ReadonlyArray<string>,
): Result.Result<Invocation, { readonly error: UsageError; readonly command: Command | null }> => {
  const [first, second] = words
  if (first === undefined || first === "--help" || first === "-h" || first === "help") {
    const asked = first === "help" ? find(commands, words.slice(1)) : null
    return Result.succeed({ kind: "help", command: asked })
  }
  const command = find(commands, words)
  if (command === null) {
    const family = commands.filter((c) => c.name.startsWith(`${first} `)).map((c) => c.name)
    const known = family.length > 0 ? family : commands.map((c) => c.name)
    const said = family.length > 0 && second !== undefined ? `${first} ${second}` : first
    return Result.fail({ error: new UsageError({ message: `There is no command "${said}".`, hint: `One of: ${known.join(", ")}.` }), command: null })
  }
  const fail = (message: string, hint: string) => Result.fail({ error: new UsageError({ message, hint }), command })
  const rest = words.slice(command.name.split(" ").length)
  if (rest.includes("--help") || rest.includes("-h")) return Result.succeed({ kind: "help", command })

  let given: { readonly values: Parsed["options"]; readonly positionals: ReadonlyArray<string> }
  try {
    given = parseArgs({ args: [...rest], options: shapes(command), allowPositionals: true, strict: true }) as typeof given
  } catch (error) {
    return fail(firstSentence(error), `Options: ${Object.keys(command.options).concat(Object.keys(COMMON)).map((o) => `--${o}`).join(", ")}.`)
  }
  const args: Record<string, string | undefined> = {}
  for (const [i, argument] of command.args.entries()) {
    const word = given.positionals[i]
    if (word === undefined && argument.optional !== true) return fail(`${argument.name} is missing.`, `${argument.name}: ${argument.about}.`)
    args[argument.name] = word
  }
  const tooMany = given.positionals[command.args.length]
  if (tooMany !== undefined) return fail(`"${tooMany}" is one word too many.`, "Quote a value that has blanks in it.")
  const options: Record<string, string | boolean | undefined> = {}
  for (const [name, option] of Object.entries(command.options)) {
    const value = given.values[name]
    if (value === undefined && option.required === true) return fail(`--${name} is missing.`, `--${name} ${option.value ?? ""}: ${option.about}.`)
    if (value === "") return fail(`--${name} is empty.`, `--${name} ${option.value ?? ""}: ${option.about}.`)
    options[name] = option.value === undefined ? value === true : value
  }
  return Result.succeed({ kind: "run", command, input: { args, options, json: given.values["json"] === true } })
}

/** Of `aside` and `aside retry` the longer one that fits. */
const find = (commands: ReadonlyArray<Command>, words: ReadonlyArray<string>): Command | null =>
  commands.filter((c) => c.name.split(" ").every((word, i) => word === words[i])).toSorted((a, b) => b.name.length - a.name.length)[0] ?? null

const shapes = (command: Command): Record<string, { type: "string" | "boolean"; short?: string }> => {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = { json: { type: "boolean" }, help: { type: "boolean", short: "h" } }
  for (const [name, option] of Object.entries(command.options)) options[name] = { type: option.value === undefined ? "boolean" : "string" }
  return options
}

/** Node's own message says more than we need: its first sentence names the option. */
const firstSentence = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  return `${message.split(/\.\s|\n/, 1)[0]!.replace(/\.$/, "")}.`
}
