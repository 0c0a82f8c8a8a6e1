/** `token`: a signed token for a user, to try things with. Of a session of its own, so that it can be signed out by itself. */
import { randomUUID } from "node:crypto"
import { Clock, Config, Effect, Option } from "effect"
import { SignJWT } from "jose"
import { SECRET_MIN_BYTES, SESSION_ID_CHARS } from "#protocol/limits.ts"
import { command } from "../command.ts"
import { demoJwtSecret } from "../demo-run.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { print, printJson } from "../output.ts"
import { requireSpan } from "../time.ts"

export const token = command({
  name: "token",
  summary: "sign a token for a user",
  about: "Signs HS256 with TIDELINE_JWT_SECRET, else with the secret of the demo in this folder. With TIDELINE_JWKS_URL the keys are your issuer's: ask it.",
  args: [],
  options: {
    user: { value: "ID", about: "the user id (sub)", required: true },
    session: { value: "ID", about: "the session it is of (sid); one of its own unless given" },
    ttl: { value: "SPAN", about: "how long it is good for: 90s, 10m, 2h, 30d; 1h unless given" },
  },
  examples: ["token --user ada", "token --user ada --session phone", "token --user ada --ttl 30d"],
  failsWhen: "there is no secret to sign with",
  run: ({ options, json }) =>
    Effect.gen(function* () {
      const ttl = yield* requireSpan("ttl", options.ttl ?? "1h")
      const set = yield* Config.option(Config.String("TIDELINE_JWT_SECRET")).pipe(Effect.orDie)
      const secret = Option.isSome(set) && set.value !== "" ? set.value : yield* demoJwtSecret
      if (secret === null) {
        return yield* new CommandFailed({
          message: "TIDELINE_JWT_SECRET is not set and no demo was started in this folder.",
          hint: "Set TIDELINE_JWT_SECRET to the secret authz has, or start the demo with npm start.",
        })
      }
      if (Buffer.byteLength(secret) < SECRET_MIN_BYTES) {
        return yield* new CommandFailed({ message: `TIDELINE_JWT_SECRET is shorter than ${SECRET_MIN_BYTES} bytes: authz takes no such secret.`, hint: "Set it to the secret authz has." })
      }
      const session = options.session ?? randomUUID()
      if (session === "" || session.length > SESSION_ID_CHARS) {
        return yield* new UsageError({ message: `--session is empty or longer than ${SESSION_ID_CHARS} characters.`, hint: "Leave it out for one of its own." })
      }
      // To the millisecond: it is good though its user was signed out a moment ago.
      const issued = (yield* Clock.currentTimeMillis) / 1000
      const expires = Math.ceil(issued + ttl / 1000)
      const signed = yield* Effect.promise(() =>
        new SignJWT({ sid: session }).setProtectedHeader({ alg: "HS256" }).setSubject(options.user).setIssuedAt(issued).setExpirationTime(expires).sign(new TextEncoder().encode(secret)),
      )
      yield* json ? printJson({ user: options.user, session, token: signed, expiresAt: new Date(expires * 1000).toISOString() }) : print(signed)
      return EXIT.ok
    }),
})
