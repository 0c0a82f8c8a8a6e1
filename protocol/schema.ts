/** A tracked table as it travels in the log (`chg._schema._entity.<code>`), so that an edge knows the entities without Postgres. */
import { Schema } from "effect"

export class TrackedEntity extends Schema.Class<TrackedEntity>("TrackedEntity")({
  entity: Schema.String,
  /** `schema.table`. */
  table_name: Schema.String,
  key_columns: Schema.Array(Schema.String),
  /** The column whose value is the scope, or null. */
  scope_column: Schema.NullOr(Schema.String),
  /** JSON Schema (draft 2020-12) of the row. */
  json_schema: Schema.Record(Schema.String, Schema.Unknown),
}) {}
