/**
 * What connections share on one edge, for one numbering of the stream. When the tail is lost a new one is made, and the connections of
 * the old one are sent away: nothing of it could be relied upon.
 */
import type { Log } from "#nats/log.ts"
import type { Accesses } from "./access.ts"
import type { Commands } from "./command.ts"
import type { Connection } from "./connection.ts"
import type { Entities } from "./entities.ts"
import type { Epochs } from "./epochs.ts"
import type { Live } from "./live.ts"
import type { Replays } from "./replay.ts"
import type { Requests } from "./requests.ts"
import type { Ring, RingBounds } from "./ring.ts"
import type { SignOuts } from "./sign-outs.ts"
import type { Touches } from "./touches.ts"
import type { Turns } from "./turns.ts"

/** What outlives a tail. */
export interface Services {
  readonly log: Log
  readonly requests: Requests
  readonly replays: Replays
  readonly turns: Turns
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** 0 to 1. */
  readonly random: () => number
  readonly ring: RingBounds
  /** Changes before the end of the log that the ring begins with. */
  readonly warmEvents: number
  /** Tells the operator of a mistake of ours. */
  readonly defect: (cause: unknown) => void
}

export interface World extends Omit<Services, "ring"> {
  /** Of this numbering alone: an answer about a sequence of another one must not be shared. */
  readonly accesses: Accesses
  readonly epochs: Epochs
  readonly entities: Entities
  /** Whether an entity that is not served is none. */
  readonly knowsEntities: () => boolean
  readonly commands: Commands
  readonly ring: Ring
  readonly live: Live
  readonly touches: Touches<Connection>
  readonly signOuts: SignOuts<Connection>
  /** Milliseconds that the edge's view of the stream may be old. */
  readonly lagMs: () => number
  /** Whether the edge gets to this position in time. */
  readonly reach: (position: number, withinMs: number) => Promise<boolean>
}

/** One end of a WebSocket, or of a pipe in a test. */
export interface Socket {
  readonly send: (text: string) => void
  /** Sends a text of which the middle, UTF-8, is sent to others as well. Head and tail are ASCII. */
  readonly sendShared: (head: string, body: Buffer, tail: string) => void
  /** What is sent between the two goes out as one write. */
  readonly cork: () => void
  readonly uncork: () => void
  /** Bytes that wait to be taken by the network. */
  readonly buffered: () => number
  readonly close: (code: number, reason: string) => void
  /** Ends it without a word. */
  readonly terminate: () => void
  readonly ping: () => void
  /** Stops reading from it, and goes on. */
  readonly pause: () => void
  readonly resume: () => void
}

/** Who is at the other end, for the audit. */
export interface Peer {
  readonly userAgent: string | null
  readonly ip: string | null
}
