/** Commands come over NATS from edges (`cmd.<scope>.<entity>.<id>`, `cmd._acl._access.<user>`) and go into Postgres; the reply is what became of them. */
import { Schema } from "effect"
import type { Effect, Scope } from "effect"
import type { Sql } from "#db/postgres.ts"
import type { Nats } from "#nats/connection.ts"
import { serve } from "#nats/serve.ts"
import { counter } from "#observe/metrics.ts"
import { COMMANDS_AT_ONCE, COMMANDS_WAITING, COMMAND_ANSWER_MS } from "#protocol/limits.ts"
import { MUTATION_STATUSES } from "#protocol/mutation.ts"
import { AccessChangeRequest, CommandRequest, QUEUE, RequestError } from "#protocol/request.ts"
import { ALL_COMMANDS, accessSubject, parseSubject } from "#protocol/subject.ts"
import type { Command, CommandResult } from "./apply.ts"
import { applyCommand, refusalOf } from "./apply.ts"
import { makeLanes } from "./lanes.ts"

/** Whoever asked is about to give up. What is under way goes on, and is answered when it is asked again. */
const tooLate = new RequestError({
  code: "unavailable",
  message: "Postgres has not answered in time",
  hint: "ask again: it is applied once, however often it is sent",
  retryAfter: 1,
})

const inTime = <A>(work: Promise<A>, ms: number): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

/** Answers for as long as the scope lives. */
export const answer = (nats: Nats, sql: Sql): Effect.Effect<void, never, Scope.Scope> => {
  const lanes = makeLanes(COMMANDS_AT_ONCE)
  const statuses = Object.fromEntries(
    MUTATION_STATUSES.map((status) => [status, counter("tideline_commands_total", "Commands answered by Postgres", { status })]),
  )
  const retries = counter("tideline_command_retries_total", "Tries that another transaction spoilt")
  return serve(nats, {
    name: "cmd",
    subject: ALL_COMMANDS,
    queue: QUEUE.command,
    request: Schema.Union([CommandRequest, AccessChangeRequest]),
    inFlight: COMMANDS_WAITING,
    handle: async (command: Command, subject): Promise<CommandResult> => {
      const lane = laneOf(command, subject)
      const deadline = performance.now() + COMMAND_ANSWER_MS
      const work = (): Promise<CommandResult> => {
        if (performance.now() >= deadline) throw tooLate
        return applyCommand(sql, command, { deadline, tried: () => retries.add() })
      }
      // Nobody waits for those who work on what they may not know of.
      const applied = lanes.run(lane, work, "mutation" in command ? () => refusalOf(sql, command) : undefined)
      const result = await inTime(applied, COMMAND_ANSWER_MS)
      statuses[result.status]?.add()
      return result
    },
  })
}

/** Commands to one entity go one after another, and so do one user's changes of access, and one user's creations of one entity: what is not there yet is nobody's to wait for. */
const laneOf = (command: Command, subject: string): string => {
  if (!("mutation" in command)) {
    if (subject === accessSubject(command.user)) return subject
    throw new RequestError({ code: "malformed", message: "the change of access is not of the user it was sent for", hint: "send it to cmd._acl._access.<user>" })
  }
  const { entityCode, entityId, op } = command.mutation
  const address = parseSubject(subject)
  if (address !== null && address.entity === entityCode && address.id === entityId) return `${entityCode}\0${entityId}${op === "create" ? `\0${command.user}` : ""}`
  throw new RequestError({ code: "malformed", message: "the mutation is not of the entity it was sent to", hint: "send it to cmd.<scope>.<entity>.<id> of its own entity" })
}
