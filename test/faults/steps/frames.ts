/** What the messages on a relay's links mean. */
import type { Direction, Frame } from "../world/frames.ts"

/** A message of a batch of changes on its way to the stream. */
export interface Published {
  /** From 1. */
  readonly place: number
  /** The last one: it makes the server store the batch. */
  readonly commits: boolean
  readonly epoch: boolean
  /** It does not end its transaction. */
  readonly partial: boolean
}

export const published = (frame: Frame, direction: Direction): Published | null => {
  if (frame.protocol !== "nats" || direction !== "up" || frame.verb !== "HPUB" || !frame.subject.startsWith("chg.")) return null
  const header = (name: string): string | undefined => new RegExp(`^${name}: (.*)\r$`, "m").exec(frame.headers)?.[1]
  const batch = header("Nats-Batch-Id")
  const [, position, count] = /, (\d+)\/(\d+)$/.exec(header("Tide-Tx") ?? "") ?? []
  return {
    place: Number(header("Nats-Batch-Sequence") ?? 1),
    commits: batch === undefined || header("Nats-Batch-Commit") !== undefined,
    epoch: frame.subject.startsWith("chg._epoch."),
    partial: position !== count,
  }
}

/** The stream's word that a batch is stored. */
export const acknowledges = (frame: Frame, direction: Direction): boolean =>
  frame.protocol === "nats" && direction === "down" && frame.verb === "MSG" && frame.body.includes('"stream":"CHANGES"') && !/"(type|error)":/.test(frame.body)

/** A request to JetStream's API. */
export const asks = (frame: Frame, direction: Direction, subject: string): boolean =>
  frame.protocol === "nats" && direction === "up" && frame.subject === subject

/** A statement on its way to Postgres, on the connection of that name. */
export const runs = (frame: Frame, direction: Direction, application: string, part: string): boolean =>
  frame.protocol === "postgres" && direction === "up" && frame.type !== "P" && frame.application === application && frame.query.includes(part)

/** The answer to a statement is complete. */
export const answers = (frame: Frame, direction: Direction, application: string): boolean =>
  frame.protocol === "postgres" && direction === "down" && frame.type === "C" && frame.application === application
