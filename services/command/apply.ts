/**
 * One command becomes one transaction: how it came goes into the session's settings, `tide.mutate` or `authz.change` does the rest (who,
 * permission, comparison with what the user saw, the write, the outbox row by its trigger). One statement, one round trip.
 *
 * A repeat is harmless: both know it by its id. So whatever is unclear (a connection lost on the way) is answered
 * with `unavailable`, and asked again by whoever wants to know.
 */
import { Schema } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import type { Sql } from "#db/postgres.ts"
import { AccessChangeResult } from "#protocol/access-change.ts"
import { COMMAND_LOCK_MS, COMMAND_TRIES } from "#protocol/limits.ts"
import { MutationResult } from "#protocol/mutation.ts"
import type { AccessChangeRequest, CommandRequest } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"

export type Mutating = typeof CommandRequest.Type
export type ChangingAccess = typeof AccessChangeRequest.Type
export type Command = Mutating | ChangingAccess
export type CommandResult = MutationResult | AccessChangeResult

export interface Applying {
  /** On the clock of `performance.now()`: when whoever asked gives up. */
  readonly deadline: number
  /** Hears of each try that another transaction spoilt. */
  readonly tried: () => void
}

/** Rejects with a `RequestError` `unavailable` where Postgres is away or busy with the row. */
export const applyCommand = async (sql: Sql, command: Command, { deadline, tried }: Applying): Promise<CommandResult> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask(sql, command, Math.min(COMMAND_LOCK_MS, deadline - performance.now()))
    } catch (error) {
      const code = sqlState(error)
      if (SPOILT.has(code) && attempt < COMMAND_TRIES && performance.now() < deadline) {
        tried()
        await sleep(Math.random() * 10 * 2 ** attempt)
        continue
      }
      // tide.mutate finds its own words for what the user's values meet; what is left may quote others'.
      if (isUserError(code))
        return "mutation" in command
          ? { id: command.mutation.id, status: "invalid", message: `the database cannot take the values (SQLSTATE ${code})` }
          : { id: command.change.id, status: "invalid", message: messageOf(error) }
      throw asRequestError(error, code)
    }
  }
}

const ask = async (sql: Sql, command: Command, lockMs: number): Promise<CommandResult> => {
  const { user, requestId, endpoint, method, userAgent, ip, trace } = command
  const call = "mutation" in command ? sql`tide.mutate(${JSON.stringify(command.mutation)}::text::jsonb, ${user})` : sql`authz.change(${JSON.stringify(command.change)}::text::jsonb, ${user})`
  // The settings are evaluated before the call, for it reads from them, and are local to the statement's transaction.
  const rows = await sql<Array<{ readonly result: unknown }>>`
    with settings as materialized (
      select set_config('tide.request_id', ${requestId}, true)
          || set_config('tide.endpoint', ${endpoint}, true)
          || set_config('tide.method', ${method}, true)
          || set_config('tide.user_agent', ${userAgent ?? ""}, true)
          || set_config('tide.ip', ${ip ?? ""}, true)
          || set_config('tide.traceparent', ${trace ?? ""}, true)
          || set_config('lock_timeout', ${String(Math.max(1, Math.ceil(lockMs)))}, true) as done
    )
    select ${call} as result from settings where done is not null`
  return ("mutation" in command ? decodeMutated : decodeChanged)(rows[0]?.result)
}

/** The answer to a mutation whose row its user may not change, or that is not there; null to any other. Waits for nobody, and changes nothing. */
export const refusalOf = async (sql: Sql, { user, mutation }: Mutating): Promise<MutationResult | null> => {
  const rows = await sql<Array<{ readonly result: unknown }>>`select tide.refusal_of(${JSON.stringify(mutation)}::text::jsonb, ${user}) as result`
  const result = rows[0]?.result ?? null
  return result === null ? null : decodeMutated(result)
}

const decodeMutated = Schema.decodeUnknownSync(MutationResult)
const decodeChanged = Schema.decodeUnknownSync(AccessChangeResult)

/** Postgres gave the transaction up for another's sake: a deadlock, a serialisation failure. */
const SPOILT: ReadonlySet<string> = new Set(["40001", "40P01"])

/** The values are wrong (class 22), a constraint says no (23), or a trigger of the application does (P0001). */
const isUserError = (code: string): boolean => code.startsWith("22") || code.startsWith("23") || code === "P0001"

/** Resources (53), an operator's intervention (57), a connection (08), a lock that somebody keeps, or too many tries. */
const isAway = (code: string): boolean =>
  code === "55P03" || SPOILT.has(code) || /^(08|53|57)/.test(code) || /^(CONN|E[A-Z])/.test(code)

/** SQLSTATE, or the code of Node or the driver. */
const sqlState = (error: unknown): string => (typeof error === "object" && error !== null && "code" in error ? String(error.code) : "")

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const asRequestError = (error: unknown, code: string): unknown =>
  isAway(code)
    ? new RequestError({
        code: "unavailable",
        message: code === "55P03" ? "somebody else keeps what this needs locked" : "Postgres cannot be asked now",
        hint: "ask again: it is applied once, however often it is sent",
        retryAfter: 1,
      })
    : error
