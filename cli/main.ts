/** `tideline`: finds the command, runs it, and turns how it ended into words and an exit code. */
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { COMMANDS } from "./commands.ts"
import type { Command } from "./command.ts"
import { CommandFailed, EXIT, UsageError } from "./failure.ts"
import { helpFor, overview } from "./help.ts"
import { parse } from "./parse.ts"

/** Ctrl-C's exit code by convention. */
const INTERRUPTED = 130

const complain = (error: CommandFailed | UsageError, command: Command | null, json: boolean): number => {
  const usage = error instanceof UsageError
  const help = usage ? ` Help: npx tideline ${command === null ? "--help" : `${command.name} --help`}` : ""
  if (json) console.error(JSON.stringify({ error: error.message, hint: error.hint }))
  else console.error(`tideline: ${error.message}\n${error.hint}${help}`)
  return usage ? EXIT.usage : EXIT.failed
}

const ended = (exit: Exit.Exit<number, CommandFailed | UsageError>, command: Command, json: boolean): number => {
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.hasInterruptsOnly(exit.cause)) return INTERRUPTED
  const failure = Cause.findErrorOption(exit.cause)
  if (Option.isSome(failure)) return complain(failure.value, command, json)
  return complain(new CommandFailed({ message: Cause.pretty(exit.cause), hint: "This is a defect of Tideline: please report it with the lines above." }), command, json)
}

const main = async (): Promise<number> => {
  const words = process.argv.slice(2)
  const invocation = parse(COMMANDS, words)
  if (invocation._tag === "Failure") {
    return complain(invocation.failure.error, invocation.failure.command, words.includes("--json"))
  }
  if (invocation.success.kind === "help") {
    const { command } = invocation.success
    console.log(command === null ? overview(COMMANDS) : helpFor(command))
    return EXIT.ok
  }
  const { command, input } = invocation.success
  const fiber = Effect.runFork(Effect.scoped(command.run(input as never)))
  const stop = () => void Effect.runFork(Fiber.interrupt(fiber))
  process.once("SIGINT", stop)
  process.once("SIGTERM", stop)
  return ended(await Effect.runPromise(Fiber.await(fiber)), command, input.json)
}

// A reader that has seen enough (`| head`) ends the command without a complaint.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed))
process.exitCode = await main()
