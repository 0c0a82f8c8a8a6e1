/** Help texts, read off the declarations. */
import type { Command } from "./command.ts"
import { COMMON } from "./parse.ts"

const ENVIRONMENT = `Where it connects to:
  DATABASE_URL   Postgres, or a pooler before it; else the demo that runs in this folder (npm start)
  NATS_URL       nats-server, several with commas; else the same demo's
  TIDELINE_DATA  the demo's folder; .tideline unless set`

/** The list of commands. */
export const overview = (commands: ReadonlyArray<Command>): string => {
  const width = Math.max(...commands.map((c) => c.name.length))
  return [
    "tideline: look after Tideline.",
    "",
    "Usage: npx tideline <command> [options]",
    "",
    ...commands.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`),
    "",
    "Help for one: npx tideline <command> --help",
    "",
    ENVIRONMENT,
    "",
    "Exit codes: 0 done, 1 failed or a problem found, 2 the command line is wrong.",
  ].join("\n")
}

/** All there is to know about one command. */
export const helpFor = (command: Command): string => {
  const args = command.args.map((a) => (a.optional === true ? `[${a.name}]` : `<${a.name}>`))
  const options = Object.entries({ ...command.options, ...COMMON } as Command["options"]).map(([name, option]) => ({
    left: `--${name}${option.value === undefined ? "" : ` ${option.value}`}`,
    right: `${option.about}${option.required === true ? " (required)" : ""}`,
  }))
  const lines = [...command.args.map((a) => ({ left: a.name, right: a.about })), ...options]
  const width = Math.max(...lines.map((l) => l.left.length))
  return [
    `tideline ${command.name}: ${command.summary}`,
    ...(command.about === undefined ? [] : ["", command.about]),
    "",
    `Usage: npx tideline ${[command.name, ...args, "[options]"].join(" ")}`,
    "",
    ...lines.map((l) => `  ${l.left.padEnd(width)}  ${l.right}`),
    "",
    command.examples.length === 1 ? "Example:" : "Examples:",
    ...command.examples.map((e) => `  npx tideline ${e}`),
    "",
    `Exit codes: 0 done, 1 ${command.failsWhen}, 2 the command line is wrong.`,
  ].join("\n")
}
