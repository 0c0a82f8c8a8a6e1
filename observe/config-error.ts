/**
 * Settings come from the environment. A bad or missing one ends the program at once with `VARIABLE: what it should be`
 * (run.ts prints it and exits with 1). An empty value counts as missing. A value itself is never printed: it may be a secret.
 */
import { Config, Effect, Option, Redacted, Schema } from "effect"

/** A setting that is not what it should be. */
export class ConfigProblem extends Schema.TaggedError<ConfigProblem>()("ConfigProblem", {
  variable: Schema.String,
  /** What the value should be, to stand after the variable's name: "a port, 0 to 65535". */
  shouldBe: Schema.String,
}) {
  override get message(): string {
    return `${this.variable}: ${this.shouldBe}`
  }
}

/** How to read the value of a variable: `Config.Port`, `Config.Redacted`, … */
export type Reader<A> = (variable: string) => Config.Config<A>

/** The variable's value. Fails where it is missing or bad. */
export const required = <A>(variable: string, shouldBe: string, read: Reader<A>): Effect.Effect<A, ConfigProblem> =>
  Effect.flatMap(optional(variable, shouldBe, read), (value) =>
    value === undefined ? Effect.fail(new ConfigProblem({ variable, shouldBe: `required: ${shouldBe}` })) : Effect.succeed(value),
  )

/** The variable's value, or undefined where it is missing. Fails where it is bad. */
export const optional = <A>(variable: string, shouldBe: string, read: Reader<A>): Effect.Effect<A | undefined, ConfigProblem> =>
  Effect.gen(function* () {
    const text = yield* Config.option(Config.String(variable))
    return Option.isNone(text) || text.value === "" ? undefined : yield* read(variable)
  }).pipe(Effect.mapError(() => new ConfigProblem({ variable, shouldBe })))

/** The variable's value, or `fallback` where it is missing. Fails where it is bad. */
export const withFallback = <A>(variable: string, shouldBe: string, read: Reader<A>, fallback: A): Effect.Effect<A, ConfigProblem> =>
  Effect.map(optional(variable, shouldBe, read), (value) => value ?? fallback)

/** Reads a switch: 1 or true is on, 0 or false is off. */
export const Switch: Reader<boolean> = (variable) => Config.Literals(["1", "true", "0", "false"], variable).pipe(
  Config.map((value) => value === "1" || value === "true"),
)

/** Reads a text that `good` takes, and keeps it secret: an address may hold a password. */
const secretText =
  (good: (text: string) => boolean): Reader<Redacted.Redacted<string>> =>
  (variable) =>
    Config.schema(Schema.String.check(Schema.makeFilter(good)), variable).pipe(Config.map((text) => Redacted.make(text)))

/** NATS_URL. */
export const natsUrl: Effect.Effect<Redacted.Redacted<string>, ConfigProblem> = Effect.suspend(() =>
  required("NATS_URL", "nats://user:password@host:port, several with commas", secretText((text) => text.split(",").every(isNatsAddress))),
)

const isNatsAddress = (text: string): boolean => {
  const address = URL.parse(text.trim())
  return address !== null && (address.protocol === "nats:" || address.protocol === "tls:") && address.hostname !== ""
}

const DATABASE = "postgres://user:password@host:port/database"

/** DATABASE_URL. */
export const databaseUrl: Effect.Effect<Redacted.Redacted<string>, ConfigProblem> = Effect.suspend(() => required("DATABASE_URL", DATABASE, secretText(isPostgresAddress)))

/** TIDELINE_DIRECT_DATABASE_URL: past the pooler that DATABASE_URL may lead to; DATABASE_URL unless set. */
export const directDatabaseUrl: Effect.Effect<Redacted.Redacted<string>, ConfigProblem> = Effect.suspend(() =>
  Effect.flatMap(optional(DIRECT, DATABASE, secretText(isPostgresAddress)), (url) => (url === undefined ? databaseUrl : Effect.succeed(url))),
)

const DIRECT = "TIDELINE_DIRECT_DATABASE_URL"

/** What it must be, where a pooler answers that lends sessions. */
export const notDirect = new ConfigProblem({
  variable: DIRECT,
  shouldBe: "an address straight to Postgres: where it leads (where DATABASE_URL does, if it is not set) a pooler gives each transaction another session, and the relay's lease and wake-up need one that stays",
})

const isPostgresAddress = (text: string): boolean => {
  const protocol = URL.parse(text)?.protocol
  return protocol === "postgres:" || protocol === "postgresql:"
}

/** The line that tells an operator what to set, for a problem of ours or one of Effect's own. Null where `error` is neither. */
export const configProblemLine = (error: unknown): string | null => {
  if (error instanceof ConfigProblem) return error.message
  if (!(error instanceof Config.ConfigError)) return null
  const [what = "a value", at = ""] = error.cause.message.split("\n")
  const variable = [...at.matchAll(/\["([^"]+)"\]/g)].map((m) => m[1]).join("_")
  return variable === "" ? error.cause.message : `${variable}: ${what}`
}
