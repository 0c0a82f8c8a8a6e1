/** A wish to change one entity, and what became of it. */
import { Schema } from "effect"

export const Row = Schema.Record(Schema.String, Schema.Unknown)
export type Row = typeof Row.Type

export class Mutation extends Schema.Class<Mutation>("Mutation")({
  /** Made by the client, unique: a repeat with the same id is answered, not applied again. */
  id: Schema.String,
  entityCode: Schema.String,
  entityId: Schema.String,
  op: Schema.Literals(["create", "update", "delete"]),
  /** The values the user saw of the fields that `data` changes. A field whose value is another one by now is a conflict. */
  base: Schema.optionalKey(Row),
  /** Column values: all of a new row, the changed ones of an update, none for a deletion. */
  data: Schema.optionalKey(Row),
}) {}

export const MUTATION_STATUSES = ["applied", "conflict", "denied", "invalid"] as const

export class MutationResult extends Schema.Class<MutationResult>("MutationResult")({
  id: Schema.String,
  /** applied: done, now or before. conflict: see `current`. denied: no such row for this user, or not allowed. invalid: see `message`. */
  status: Schema.Literals(MUTATION_STATUSES),
  /** The row as it is now, where the user may see it. Null: it is gone. */
  current: Schema.optionalKey(Schema.NullOr(Row)),
  message: Schema.optionalKey(Schema.String),
}) {}
