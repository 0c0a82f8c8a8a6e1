/** A command as a declaration: help, parsing and running are read off the same table. */
import type { Effect, Scope } from "effect"
import type { CommandFailed, UsageError } from "./failure.ts"

export interface Argument {
  readonly name: string
  readonly about: string
  readonly optional?: true
}

interface Option {
  /** What stands after the option in help, as in `--scope SCOPE`. An option without is a switch. */
  readonly value?: string
  readonly about: string
  readonly required?: true
}

export type Options = Readonly<Record<string, Option>>

/** What an option gives: text where it takes a value, else whether it was there. */
type Given<O extends Option> = O extends { readonly value: string }
  ? O extends { readonly required: true } ? string : string | undefined
  : boolean

export interface Input<A extends ReadonlyArray<Argument>, O extends Options> {
  readonly args: { readonly [K in A[number] as K["name"]]: K extends { readonly optional: true } ? string | undefined : string }
  readonly options: { readonly [K in keyof O]: Given<O[K]> }
  /** Whether results are to be JSON on standard output, and errors JSON on standard error. */
  readonly json: boolean
}

/** Gives the exit code where it is not 0 by way of an error. */
export type Run = Effect.Effect<number, CommandFailed | UsageError, Scope.Scope>

export interface Command {
  /** One word or two: `track`, `demo history`. */
  readonly name: string
  /** One line. */
  readonly summary: string
  /** More, for the command's own help. */
  readonly about?: string
  readonly args: ReadonlyArray<Argument>
  readonly options: Options
  readonly examples: ReadonlyArray<string>
  /** What 1 means for this command. */
  readonly failsWhen: string
  readonly run: (input: never) => Run
}

/** Declares a command; `run` gets what `args` and `options` say. */
export const command = <const A extends ReadonlyArray<Argument>, const O extends Options>(
  spec: Omit<Command, "args" | "options" | "run"> & {
    readonly args: A
    readonly options: O
    readonly run: (input: Input<A, O>) => Run
  },
): Command => spec
