/** A service for run.test.ts: ready at once, ends gracefully, or fails as told. */
import { Config, Effect, Schema } from "effect"
import { required } from "../config-error.ts"
import { listen } from "../http.ts"
import { runService } from "../run.ts"

class Trouble extends Schema.TaggedError<Trouble>()("Trouble", { message: Schema.String, hint: Schema.String }) {}

runService(
  "sample",
  Effect.gen(function* () {
    const kind = yield* required("SAMPLE", "stay, end or fail", (variable) => Config.Literals(["stay", "end", "fail"], variable))
    if (kind === "end") return
    if (kind === "fail") return yield* new Trouble({ message: "it broke", hint: "mend it" })
    yield* Effect.addFinalizer(() => Effect.log("closed"))
    const port = yield* listen(0, "sample", () => ["warming up"])
    yield* Effect.log("up").pipe(Effect.annotateLogs({ port }))
    return yield* Effect.never
  }),
)
