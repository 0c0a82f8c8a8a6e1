/** `sign-out`: ends a user's sessions, at a place in the log like a revocation. What they may do stays; their tokens are refused. */
import { Effect } from "effect"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { EXIT, UsageError } from "../failure.ts"
import { print, printJson } from "../output.ts"

export const signOut = command({
  name: "sign-out",
  summary: "end all sessions of a user, or one",
  about:
    "Connections end at once, and tokens issued before now are refused; with --session those of that session, whenever they were issued. Devices forget what they hold. " +
    "Whoever gets a new token signs in again: take that away at your issuer. Tokens say when they were issued by their issuer's clock (iat): where it is ahead of Postgres', those of that " +
    "span are ended by a second sign-out after it.",
  args: [{ name: "user", about: "the user id (the token's sub); user:<id>, as in grants, is the same" }],
  options: { session: { value: "ID", about: "this session alone (the token's sid); else all" } },
  examples: ["sign-out ada", "sign-out ada --session 5f0c1f3e-6d3f-4f3e-9a57-0a9f5a2c8c11"],
  failsWhen: "Postgres refused",
  run: ({ args, options: { session = null }, json }) =>
    Effect.gen(function* () {
      const user = args.user.replace(/^user:(?=.)/, "")
      if (args.user.startsWith("role:")) {
        return yield* new UsageError({ message: `"${args.user}" is a role: nobody signs in as one.`, hint: "Sign its members out one by one; to take access away use revoke." })
      }
      if (user === "" || session === "") return yield* new UsageError({ message: "The user or the session is empty.", hint: "The user is the token's sub, the session its sid." })
      const sql = yield* openDatabase
      const [done] = yield* query(() => sql<Array<{ at: Date }>>`select authz.sign_out(user_id => ${user}, session => ${session}) as at`)
      const at = done!.at.toISOString()
      yield* json
        ? printJson({ user, session, at })
        : print(session === null ? `${user} is signed out: tokens issued up to ${at} are refused.` : `Session ${session} of ${user} is signed out: its tokens are refused.`)
      return EXIT.ok
    }),
})
