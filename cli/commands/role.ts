/** `role add` and `role remove`: who is in a role. A role is granted things as a user is, as `role:<name>`; it is there when somebody is in it. */
import { Effect } from "effect"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { print, printJson } from "../output.ts"

const args = [
  { name: "role", about: "its bare name: editors" },
  { name: "member", about: "a user's id, or role:<name> for a role inside it" },
] as const

/** The member as it is stored: a bare name is a user's id. */
const check = (role: string, member: string): Effect.Effect<string, UsageError> => {
  if (role === "" || /^(user|role):/.test(role)) {
    return Effect.fail(new UsageError({ message: `"${role}" is not a role's name.`, hint: "Write the bare name: editors." }))
  }
  if (["", "everyone", "user:", "role:"].includes(member)) {
    return Effect.fail(new UsageError({ message: `"${member}" cannot be a member.`, hint: "A user's id, or role:<name>. What everyone may do is granted to everyone." }))
  }
  return Effect.succeed(/^(user|role):/.test(member) ? member : `user:${member}`)
}

export const roleAdd = command({
  name: "role add",
  summary: "put a user or a role into a role",
  about: "Whoever is in it is granted all that it is, and what the roles are that it is in. Roles do not go in a circle.",
  args,
  options: {},
  examples: ["role add builders grace", "role add builders role:leads"],
  failsWhen: "the role is inside that member already, or Postgres refused",
  run: ({ args: { role, member: named }, json }) =>
    Effect.gen(function* () {
      const member = yield* check(role, named)
      const sql = yield* openDatabase
      yield* query(() => sql`select authz.add_member(${role}, ${member})`)
      yield* json ? printJson({ role, member, inside: true }) : print(`${member} is in ${role}.`)
      return EXIT.ok
    }),
})

export const roleRemove = command({
  name: "role remove",
  summary: "take a user or a role out of a role",
  about: "What it is granted by itself, or through other roles, stays.",
  args,
  options: {},
  examples: ["role remove builders grace"],
  failsWhen: "it was not in the role, or Postgres refused",
  run: ({ args: { role, member: named }, json }) =>
    Effect.gen(function* () {
      const member = yield* check(role, named)
      const sql = yield* openDatabase
      const [done] = yield* query(() => sql<Array<{ removed: boolean }>>`select authz.remove_member(${role}, ${member}) as removed`)
      if (!done!.removed) {
        return yield* new CommandFailed({ message: `${member} is not in ${role} itself.`, hint: `Who is: select member from authz.members where role = '${role.replaceAll("'", "''")}'.` })
      }
      yield* json ? printJson({ role, member, inside: false }) : print(`${member} is no longer in ${role}.`)
      return EXIT.ok
    }),
})
