/**
 * Rows in the order of a window become batches: whole transactions, several small ones in one batch; one that is larger than a batch goes
 * in consecutive pieces. Pure: rows in, batches out.
 */
import { ALONE_MESSAGES, BATCH_BYTES, BATCH_MESSAGES } from "#protocol/limits.ts"
import type { OutboxMessage, OutboxRow } from "./row.ts"
import { toMessage } from "./row.ts"

export interface Bounds {
  readonly messages: number
  readonly bytes: number
}

const BATCHES: Bounds = { messages: BATCH_MESSAGES, bytes: BATCH_BYTES }

/** How the rows of a small window are best published: a few transactions of one row each as messages of their own, anything else in batches. */
export const boundsFor = (rows: ReadonlyArray<OutboxRow>): Bounds =>
  rows.length <= ALONE_MESSAGES && rows.every((row) => row.count === 1) ? { ...BATCHES, messages: 1 } : BATCHES

/** Not empty. After it everything of the window up to its last message's row is published. */
export type Batch = ReadonlyArray<OutboxMessage>

export interface Packer {
  /** Takes the next row; `give` is handed each batch that is full. */
  readonly add: (row: OutboxRow) => void
  /** The window is at its end: hands over what is left. */
  readonly end: () => void
}

/**
 * A packer that gives its batches to `give`. `published`: rows of the first row's transaction that an earlier batch brought, where the
 * window is gone on with in the middle of a transaction. `message`: what a row becomes.
 */
export const packer = (
  give: (batch: Batch) => void,
  published = 0,
  bounds: Bounds = BATCHES,
  message = toMessage,
): Packer => {
  /** Whole transactions, or the last piece of a large one. */
  let full: Array<OutboxMessage> = []
  let fullBytes = 0
  /** Of the transaction that is being read. */
  let part: Array<OutboxMessage> = []
  let partBytes = 0
  let position = published

  const fits = (messages: number, bytes: number): boolean => messages <= bounds.messages && bytes <= bounds.bytes
  const flush = (): void => {
    if (full.length > 0) give(full)
    full = []
    fullBytes = 0
  }
  const join = (): void => {
    if (!fits(full.length + part.length, fullBytes + partBytes)) flush()
    full = full.length === 0 ? part : full.concat(part)
    fullBytes += partBytes
    part = []
    partBytes = 0
  }
  return {
    add: (row) => {
      const next = message(row, ++position)
      // The transaction does not fit a batch: a piece of it goes alone.
      if (part.length > 0 && !fits(part.length + 1, partBytes + next.bytes)) {
        join()
        flush()
      }
      part.push(next)
      partBytes += next.bytes
      if (position < row.count) return
      position = 0
      join()
    },
    end: () => {
      if (part.length > 0) join()
      flush()
    },
  }
}
