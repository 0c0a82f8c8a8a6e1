/** `grant` and `revoke`: who may do what. A grant is a pattern: scope, entity and id, each one value or all. */
import { Clock, Effect } from "effect"
import { EVERYONE } from "#protocol/acl.ts"
import { LEVELS } from "#protocol/grant.ts"
import { command } from "../command.ts"
import { openDatabase, query } from "../connect.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { print, printJson } from "../output.ts"
import { requireInstant } from "../time.ts"

const principalArg = { name: "principal", about: "user:<id>, role:<name> or everyone" } as const

const where = {
  scope: { value: "SCOPE", about: "in this scope; else in all" },
  entity: { value: "CODE", about: "of this entity type; else of all" },
  id: { value: "ID", about: "this one entity; else all" },
  all: { about: "everything: needed where no scope, entity or id is given" },
} as const

interface Where {
  readonly scope: string | undefined
  readonly entity: string | undefined
  readonly id: string | undefined
  readonly all: boolean
}

const check = (principal: string, at: Where): Effect.Effect<void, UsageError> => {
  if (principal !== EVERYONE && !/^(user|role):./.test(principal)) {
    return Effect.fail(new UsageError({ message: `"${principal}" is not a principal.`, hint: "user:<id>, role:<name> or everyone." }))
  }
  const narrowed = at.scope !== undefined || at.entity !== undefined || at.id !== undefined
  if (narrowed === at.all) {
    return Effect.fail(new UsageError({
      message: narrowed ? "--all does not go with --scope, --entity or --id." : "Nothing says what it is about.",
      hint: "Give --scope, --entity or --id, or --all for everything.",
    }))
  }
  return Effect.void
}

const spell = (at: Where): string =>
  at.all ? "everything" : [
    at.entity === undefined ? "everything" : `every ${at.entity}`,
    ...(at.id === undefined ? [] : [`with id ${at.id}`]),
    ...(at.scope === undefined ? [] : [`in ${at.scope}`]),
  ].join(" ")

export const grant = command({
  name: "grant",
  summary: "let a user, a role or everyone see or change something",
  about: `Levels, each with those before it: ${LEVELS.join(" < ")}. Granting the same again sets the new level and expiry.`,
  args: [principalArg],
  options: {
    level: { value: "LEVEL", about: LEVELS.join(", "), required: true },
    ...where,
    expires: { value: "WHEN", about: "a span from now (2h, 30d) or an instant; never unless given" },
  },
  examples: ["grant user:ada --scope p1 --level EDIT", "grant role:auditors --entity task --level VIEW --expires 30d", "grant user:grace --all --level OWNER"],
  failsWhen: "Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      yield* check(args.principal, options)
      const level = options.level.toUpperCase()
      if (!LEVELS.some((known) => known === level)) {
        return yield* new UsageError({ message: `--level ${options.level} is not a level.`, hint: `One of ${LEVELS.join(", ")}.` })
      }
      const now = yield* Clock.currentTimeMillis
      const expires = options.expires === undefined ? null : yield* requireInstant("expires", options.expires, now, 1)
      if (expires !== null && expires.getTime() <= now) {
        return yield* new UsageError({ message: `--expires ${options.expires} is over already.`, hint: "Give a time to come, or use revoke." })
      }
      const sql = yield* openDatabase
      yield* query(() => sql`
        select authz.grant_access(principal => ${args.principal}, scope => ${options.scope ?? null}, entity => ${options.entity ?? null},
                                  entity_id => ${options.id ?? null}, level => ${level}, expires_at => ${expires})`)
      const until = expires === null ? "" : ` until ${expires.toISOString()}`
      yield* json
        ? printJson({ principal: args.principal, scope: options.scope ?? null, entity: options.entity ?? null, entityId: options.id ?? null, level, expiresAt: expires })
        : print(`${args.principal} has ${level} on ${spell(options)}${until}.`)
      return EXIT.ok
    }),
})

export const revoke = command({
  name: "revoke",
  summary: "take back what `grant` gave",
  about: "Takes back the one grant with exactly this principal, scope, entity and id. What other grants and roles give stays.",
  args: [principalArg],
  options: where,
  examples: ["revoke user:ada --scope p1", "revoke user:grace --all"],
  failsWhen: "there is no such grant, or Postgres refused",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      yield* check(args.principal, options)
      const sql = yield* openDatabase
      const scope = options.scope ?? null
      const entity = options.entity ?? null
      const id = options.id ?? null
      const [done] = yield* query(() => sql<Array<{ revoked: boolean }>>`
        select authz.revoke_access(principal => ${args.principal}, scope => ${scope}, entity => ${entity}, entity_id => ${id}) as revoked`)
      if (!done!.revoked) {
        return yield* new CommandFailed({
          message: `${args.principal} has no grant on exactly ${spell(options)}.`,
          hint: "A grant is taken back with the same scope, entity and id it was given with; `select * from authz.grants` lists them.",
        })
      }
      yield* json
        ? printJson({ principal: args.principal, scope, entity, entityId: id, revoked: true })
        : print(`${args.principal} no longer has the grant on ${spell(options)}.`)
      return EXIT.ok
    }),
})
