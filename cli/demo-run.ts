/** What `npm start` leaves behind for us in TIDELINE_DATA: which processes run (run.json) and the demo's secrets (secrets.json). */
import { Config, Effect, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { CommandFailed } from "./failure.ts"

const DemoProcess = Schema.Struct({
  name: Schema.String,
  pid: Schema.NullOr(Schema.Int),
  port: Schema.NullOr(Schema.Int),
  /** Where /readyz and /metrics are; null where it has none. */
  observePort: Schema.NullOr(Schema.Int),
})
export type DemoProcess = typeof DemoProcess.Type

/** run.json: written while the demo runs. The addresses hold the operator's credentials. */
const DemoRun = Schema.Struct({
  databaseUrl: Schema.String,
  natsUrl: Schema.String,
  processes: Schema.Array(DemoProcess),
})
export type DemoRun = typeof DemoRun.Type

const DemoSecrets = Schema.Struct({ TIDELINE_JWT_SECRET: Schema.String })

const folder = Config.String("TIDELINE_DATA").pipe(Config.withDefault(".tideline"), Effect.orDie)

const readJson = <A, I>(name: string, schema: Schema.Codec<A, I>): Effect.Effect<A | null, CommandFailed> =>
  Effect.gen(function* () {
    const path = join(yield* folder, name)
    const text = yield* Effect.promise(() => readFile(path, "utf8").catch(() => null))
    if (text === null) return null
    return yield* Schema.decodeUnknownEffect(Schema.fromJsonString(schema))(text).pipe(
      Effect.mapError((error) => new CommandFailed({ message: `${path} is not readable: ${error.message}`, hint: "Stop the demo and start it again (npm start) to write it anew." })),
    )
  })

/** The demo that was started in this folder, or null where none was. */
export const demoRun: Effect.Effect<DemoRun | null, CommandFailed> = readJson("run.json", DemoRun)

/** The secret that signs the demo's tokens, or null where there is no demo. */
export const demoJwtSecret: Effect.Effect<string | null, CommandFailed> =
  Effect.map(readJson("secrets.json", DemoSecrets), (secrets) => secrets?.TIDELINE_JWT_SECRET ?? null)
