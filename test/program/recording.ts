/** What a client did and was told, in order, as it went over the wire: what judge.ts is given. */

export interface Asked {
  readonly entity: string
  /** Null: any. */
  readonly scopes: ReadonlyArray<string> | null
  readonly ids: ReadonlyArray<string> | null
}

/** A user signed in: what they show at every edge until it is ended. */
export interface Token {
  readonly user: string
  readonly session: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  readonly text: string
}

export type Entry = { readonly step: number } & (
  | {
      readonly type: "opened"
      readonly edge: string
      /** What it came back with. */
      readonly cursor: string | null
      readonly position: number
      readonly token: Token
    }
  /** Its subscriptions from the edge's next SUBSCRIBED on. */
  | { readonly type: "asked"; readonly asked: ReadonlyArray<Asked> }
  /** A frame as it came, and when, in milliseconds since 1970. */
  | { readonly type: "frame"; readonly text: string; readonly at: number }
  | { readonly type: "closed" }
)

export interface Recording {
  readonly client: string
  readonly user: string
  /** What came since the last call. */
  readonly take: () => ReadonlyArray<Entry>
}

/** What a GET over HTTP was answered. */
export interface Read {
  readonly step: number
  readonly user: string
  readonly token: Token
  readonly url: string
  readonly status: number
  readonly text: string
  /** Where the client stood, on the same edge all the while, when it asked; 0 where it was not connected. */
  readonly position: number
  readonly at: number
}

/** A mutation that was sent, however often. */
export interface Sent {
  readonly step: number
  readonly id: string
  readonly user: string
  readonly entity: string
  readonly entityId: string
  readonly op: "create" | "update" | "delete"
  /** How often it was sent. */
  times: number
  /** Every answer that came. */
  readonly answers: Array<string>
}

/** A change of access that a user asked for, however often. */
export interface Wished {
  readonly step: number
  readonly id: string
  readonly user: string
  /** As it went over the wire, without its id. */
  readonly change: Readonly<Record<string, string | null>>
  times: number
  readonly answers: Array<string>
}
