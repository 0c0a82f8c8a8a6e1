/**
 * What a connection asks for: its subscriptions, and the patterns they come to. Pure; a change yields a new value or the reason why
 * it cannot be.
 */
import { Result } from "effect"
import type { ErrorCode } from "#protocol/down.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import { normalise } from "#protocol/grant.ts"
import { SUBSCRIPTIONS, VIEW_PATTERNS } from "#protocol/limits.ts"
import { isAddressText } from "#protocol/subject.ts"
import type { Subscribe, Subscription } from "#protocol/up.ts"

export interface Subscriptions {
  readonly list: ReadonlyArray<Subscription>
  /** Normalised. */
  readonly asked: ReadonlyArray<ViewPattern>
}

export const NO_SUBSCRIPTIONS: Subscriptions = { list: [], asked: [] }

/** Why a subscription cannot be. Nothing of its frame counts; the connection stays. */
export interface Refusal {
  readonly code: Extract<ErrorCode, "malformed" | "not_found" | "too_large">
  readonly message: string
  readonly hint: string
}

/** With the subscriptions of a frame, all or none. */
export const subscribe = (
  before: Subscriptions,
  payload: (typeof Subscribe.Type)["payload"],
  isServed: (entity: string) => boolean,
): Result.Result<Subscriptions, Refusal> => {
  const { entityCode, entityIds, scopes, subscriptions = [] } = payload
  const added: Array<Subscription> = [...subscriptions]
  if (entityCode !== undefined) added.push({ entityCode, ...(entityIds === undefined ? {} : { entityIds }), ...(scopes === undefined ? {} : { scopes }) })
  if (added.length === 0)
    return refuse("malformed", "SUBSCRIBE names nothing", "give entityCode, or subscriptions")
  for (const one of added) {
    if (!isServed(one.entityCode))
      return refuse("not_found", `${JSON.stringify(one.entityCode.slice(0, 64))} is not a tracked entity`, "GET /v1/schema lists those that are")
    const bad = [...(one.entityIds ?? []), ...(one.scopes ?? [])].find((text) => !isAddressText(text))
    if (bad !== undefined)
      return refuse("malformed", `${JSON.stringify(bad.slice(0, 64))} cannot be an id or a scope`, "well-formed text without NUL, at most TOKEN_BYTES as a subject token")
  }
  const known = new Set(before.list.map(key))
  const list = [...before.list]
  for (const one of added) {
    if (known.has(key(one))) continue
    known.add(key(one))
    list.push(one)
  }
  if (list.length > SUBSCRIPTIONS)
    return refuse("too_large", `more than ${SUBSCRIPTIONS} subscriptions`, "one subscription can name many ids or scopes")
  if (list.reduce((sum, one) => sum + size(one), 0) > VIEW_PATTERNS)
    return refuse("too_large", `more than ${VIEW_PATTERNS} ids and scopes`, "ask for scopes, or for the whole type")
  return Result.succeed({ list, asked: normalise(list.flatMap(patterns)) })
}

/** Without the type, or without these ids of it. What was asked for by scope or as a whole type does not name ids, so ids take nothing from it. */
export const unsubscribe = (before: Subscriptions, entityCode: string, entityIds: ReadonlyArray<string> | undefined): Subscriptions => {
  const list = before.list.flatMap((one): ReadonlyArray<Subscription> => {
    if (one.entityCode !== entityCode) return [one]
    if (entityIds === undefined) return []
    if (one.entityIds === undefined) return [one]
    const gone = new Set(entityIds)
    const left = one.entityIds.filter((id) => !gone.has(id))
    return left.length === 0 ? [] : [{ ...one, entityIds: left }]
  })
  return { list, asked: normalise(list.flatMap(patterns)) }
}

const refuse = (code: Refusal["code"], message: string, hint: string): Result.Result<never, Refusal> => Result.fail({ code, message, hint })

const key = (one: Subscription): string => JSON.stringify([one.entityCode, one.scopes ?? null, one.entityIds ?? null])

const size = (one: Subscription): number => (one.scopes?.length ?? 1) * (one.entityIds?.length ?? 1)

/** An empty list names nothing, and an absent one anything. */
const patterns = (one: Subscription): ReadonlyArray<ViewPattern> =>
  (one.scopes ?? [null]).flatMap((scope) => (one.entityIds ?? [null]).map((id) => ({ entity: one.entityCode, scope, id })))
