/** What a link understands of the bytes it passes on: whole messages of the two protocols, so that a fault can strike between two of them. */

/** up: from the service to the server. */
export type Direction = "up" | "down"

export interface NatsFrame {
  readonly protocol: "nats"
  readonly bytes: Buffer
  /** HPUB, PUB, MSG, HMSG, PING, … */
  readonly verb: string
  readonly subject: string
  /** Of an HPUB or HMSG, as text. */
  readonly headers: string
  /** Empty where there is none; of MSG and HMSG only: what goes up is not looked into. */
  readonly body: string
}

export interface PostgresFrame {
  readonly protocol: "postgres"
  readonly bytes: Buffer
  /** The message's type byte; empty for the first message of a session. */
  readonly type: string
  /** The application_name of the session. */
  readonly application: string
  /** Of a Bind, Parse or simple query: the statement. */
  readonly query: string
}

export type Frame = NatsFrame | PostgresFrame

/** Cuts the two byte streams of one connection into frames; what is not whole yet waits for its rest. */
export interface Splitter {
  readonly up: (chunk: Buffer) => ReadonlyArray<Frame>
  readonly down: (chunk: Buffer) => ReadonlyArray<Frame>
}

/** Repeats `take` on what has come: the frame at the beginning of `bytes`, or null while it is not whole. */
export const cutter = <F extends Frame>(take: (bytes: Buffer) => F | null): ((chunk: Buffer) => ReadonlyArray<F>) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const frames: Array<F> = []
    for (let frame = take(rest); frame !== null; frame = take(rest)) {
      frames.push(frame)
      rest = rest.subarray(frame.bytes.length)
    }
    return frames
  }
}
