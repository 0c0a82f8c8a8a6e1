/**
 * An epoch is one numbering of the stream. It ends when sequence numbers that were handed out were lost and are used again:
 * the relay then opens the next one by an event of its own, so that every reader learns of it in order.
 */
import { Schema } from "effect"

/** The body of a `_epoch` event; its id in the subject is `id`. */
export class Epoch extends Schema.Class<Epoch>("Epoch")({
  /** Grows by one with each epoch, with a random part that tells two histories apart: `1-9f2c41`. No dots. */
  id: Schema.String,
  /** The epoch before, or null for the first. */
  previous: Schema.NullOr(Schema.String),
  /** The stream sequence of this event. Of the epoch before, only what stands below it survived. */
  firstSeq: Schema.Finite,
  /** Why it was opened, for people. */
  reason: Schema.String,
  at: Schema.String,
}) {}
