/** Frames from a client to an edge: JSON text `{type, payload}`. */
import { Schema } from "effect"
import { MUTATIONS_PER_FRAME, SUBSCRIPTIONS, SUBSCRIPTION_IDS, TOKEN_MAX_BYTES } from "./limits.ts"
import { Mutation } from "./mutation.ts"

const token = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(TOKEN_MAX_BYTES))
const texts = Schema.Array(Schema.String).check(Schema.isMaxLength(SUBSCRIPTION_IDS))

/** All of a type, or some scopes of it, or some entities of it (wherever they are), or those entities in those scopes. */
export class Subscription extends Schema.Class<Subscription>("Subscription")({
  entityCode: Schema.String,
  entityIds: Schema.optionalKey(texts),
  scopes: Schema.optionalKey(texts),
}) {}

/** `data` sends rows, `invalidate` only says which rows changed. */
export const Mode = Schema.Literals(["data", "invalidate"])
export type Mode = typeof Mode.Type

const frame = <T extends string, P extends Schema.Struct.Fields>(type: T, payload: P) =>
  Schema.Struct({ type: Schema.Literal(type), payload: Schema.Struct(payload) })
const bare = <T extends string>(type: T) =>
  Schema.Struct({ type: Schema.Literal(type), payload: Schema.optionalKey(Schema.Unknown) })

/** First frame, within AUTH_TIMEOUT_MS, unless `?token=` stood on the address. */
export const Auth = frame("AUTH", { token })

/** Either one subscription spelled out or several; `cursor` counts in the first SUBSCRIBE of a connection: what the client holds already. */
export const Subscribe = frame("SUBSCRIBE", {
  entityCode: Schema.optionalKey(Schema.String),
  entityIds: Schema.optionalKey(texts),
  scopes: Schema.optionalKey(texts),
  subscriptions: Schema.optionalKey(Schema.Array(Subscription).check(Schema.isMaxLength(SUBSCRIPTIONS))),
  mode: Schema.optionalKey(Mode),
  cursor: Schema.optionalKey(Schema.String),
})
export const Unsubscribe = frame("UNSUBSCRIBE", { entityCode: Schema.String, entityIds: Schema.optionalKey(texts) })
export const UnsubscribeAll = bare("UNSUBSCRIBE_ALL")
export const Mutate = frame("MUTATE", { mutations: Schema.Array(Mutation).check(Schema.isMinLength(1), Schema.isMaxLength(MUTATIONS_PER_FRAME)) })
export const Presence = frame("PRESENCE", { entityCode: Schema.String, entityId: Schema.String, state: Schema.Unknown })
export const TokenRefresh = frame("TOKEN_REFRESH", { token })
export const Ping = bare("PING")

export const Up = Schema.Union([Auth, Subscribe, Unsubscribe, UnsubscribeAll, Mutate, Presence, TokenRefresh, Ping])
export type Up = typeof Up.Type
export type UpType = Up["type"]
export const UP_TYPES: ReadonlyArray<UpType> = ["AUTH", "SUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE_ALL", "MUTATE", "PRESENCE", "TOKEN_REFRESH", "PING"]
