/** `access`: what somebody may do and why, or who may do something. Asked of authz, which decides. */
import { Effect, Result, Schema } from "effect"
import { EVERYONE, userPrincipal } from "#protocol/acl.ts"
import type { ExplainedGrant, Holder } from "#protocol/explain.ts"
import { ExplainReply } from "#protocol/explain.ts"
import { REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import { REQUEST, reply } from "#protocol/request.ts"
import type { Nats } from "#nats/connection.ts"
import { command } from "../command.ts"
import { openNats } from "../connect.ts"
import { CommandFailed, EXIT, UsageError } from "../failure.ts"
import { print, printJson } from "../output.ts"
import { printable } from "../printable.ts"

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(reply(ExplainReply)))

interface Asked {
  readonly of: string | null
  readonly on: { readonly scope: string | null; readonly entity: string | null; readonly id: string | null } | null
  readonly exact: boolean
}

const page = (nats: Nats, asked: Asked, after: string | null): Effect.Effect<ExplainReply, CommandFailed> =>
  Effect.gen(function* () {
    const request = JSON.stringify({ asker: null, ...asked, ...(after === null ? {} : { after }) })
    const text = yield* Effect.tryPromise({
      try: async () => (await nats.connection.request(REQUEST.explain, request, { timeout: REQUEST_TIMEOUT_MS })).string(),
      catch: () => new CommandFailed({ message: "authz does not answer.", hint: "Does it run? `npx tideline status` shows the services." }),
    })
    const decoded = decode(text)
    if (Result.isFailure(decoded)) return yield* new CommandFailed({ message: "authz' answer cannot be read.", hint: "Do the tool and the services have the same version?" })
    const answer = decoded.success
    if (!answer.ok) return yield* new CommandFailed({ message: `authz: ${answer.error.message}.`, hint: `${answer.error.hint}.` })
    return answer.value
  })

/** All pages. */
const explain = (nats: Nats, asked: Asked): Effect.Effect<ExplainReply, CommandFailed> =>
  Effect.gen(function* () {
    let last = yield* page(nats, asked, null)
    const grants = [...last.grants]
    const holders = [...last.holders]
    while (last.next !== null) {
      last = yield* page(nats, asked, last.next)
      grants.push(...last.grants)
      holders.push(...last.holders)
    }
    return { ...last, grants, holders }
  })

export const access = command({
  name: "access",
  summary: "what somebody may do and why, or with --who, who may do something",
  about: "Names every grant that gives something, the roles it comes through, who granted it, when, and until when. Answered by authz from the log, as edges decide.",
  args: [{ name: "user", about: "a user's id, or user:<id>, role:<name>, everyone; none with --who", optional: true }],
  options: {
    who: { about: "everybody who holds something in --scope, --entity, --id" },
    scope: { value: "SCOPE", about: "only what counts in this scope" },
    entity: { value: "CODE", about: "only what counts for this entity type" },
    id: { value: "ID", about: "only what counts for this entity" },
  },
  examples: ["access ada", "access ada --scope p1 --entity task --id 4711", "access --who --scope p1", "access role:editors --json"],
  failsWhen: "there is nothing to tell, or authz does not answer",
  run: ({ args, options, json }) =>
    Effect.gen(function* () {
      const { scope = null, entity = null, id = null, who } = options
      if (who === (args.user !== undefined)) {
        return yield* new UsageError({ message: who ? "--who does not go with a user." : "Neither a user nor --who.", hint: "access ada, or access --who --scope p1." })
      }
      if (id !== null && entity === null) return yield* new UsageError({ message: "--id without --entity.", hint: "An id is one of an entity type: --entity task --id 4711." })
      const anywhere = scope === null && entity === null
      if (who && anywhere) return yield* new UsageError({ message: "--who does not say on what.", hint: "Give --scope or --entity." })
      const of = args.user === undefined ? null : principalOf(args.user)
      const nats = yield* openNats
      const told = yield* explain(nats, { of, on: anywhere ? null : { scope, entity, id }, exact: scope !== null && id !== null })
      if (json) yield* printJson(told)
      else if (of === null) yield* print(told.holders.length === 0 ? `Nobody holds anything in ${place(scope, entity, id)}.` : told.holders.map(holderLines).join("\n"))
      else {
        const where = anywhere ? "" : ` in ${place(scope, entity, id)}`
        const head = anywhere ? `${printable(of)}` : `${printable(of)} ${told.level === null ? `has no level on all of ${place(scope, entity, id)}` : `has ${told.level} on ${place(scope, entity, id)}`}`
        yield* print(told.grants.length === 0 ? `${printable(of)} holds nothing${where}.` : [head, ...branches(told.grants.map((grant) => grantLines(of, grant)))].join("\n"))
      }
      return (of === null ? told.holders : told.grants).length === 0 ? EXIT.failed : EXIT.ok
    }),
})

const principalOf = (name: string): string => (name === EVERYONE || /^(user|role):./.test(name) ? name : userPrincipal(name))

const place = (scope: string | null, entity: string | null, id: string | null): string =>
  printable([entity === null ? "everything" : id === null ? `every ${entity}` : `${entity} ${id}`, ...(scope === null ? [] : [`in ${scope}`])].join(" "))

/** What it gives and where; then the ways to it; then who granted it. */
const grantLines = (of: string, grant: ExplainedGrant): ReadonlyArray<string> => {
  const until = grant.expiresAt === null ? "" : `, until ${grant.expiresAt}`
  const by = grant.grantedAt === null ? "" : `granted ${grant.grantedAt}${grant.grantedBy === null ? "" : ` by ${printable(grant.grantedBy)}`}`
  const ways = grant.paths.map((way) =>
    way.length > 0 ? printable([of, ...way.map((role) => `role:${role}`)].join(" → ")) : grant.principal === EVERYONE && of !== EVERYONE ? "as everyone" : "own grant",
  )
  return [`${grant.level} on ${place(grant.scope, grant.entity, grant.entityId)}${until}`, ...ways.map((way) => `  ${way}`), ...(by === "" ? [] : [`  ${by}`])]
}

const holderLines = ({ principal, level, most, grants, more }: Holder): string =>
  [
    `${printable(principal)}  ${level ?? `${most} on some of it`}`,
    ...branches([...grants.map((grant) => grantLines(principal, grant)), ...(more ? [["and others: name the principal to see them all"]] : [])]),
  ].join("\n")

/** As branches of a tree. */
const branches = (blocks: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> =>
  blocks.flatMap((block, i) => {
    const last = i === blocks.length - 1
    return block.map((line, j) => `${j === 0 ? (last ? "└─ " : "├─ ") : last ? "   " : "│  "}${line}`)
  })
