/** What the sync says of itself: to the pill in the corner, to other tabs, to tests. From positions and heartbeats, never from a socket's readyState. */
export type Status =
  /** What is shown is what the server has, but for the time a change travels. */
  | {
      readonly kind: "live"
      /** Milliseconds there and back, measured by PING and PONG. Null until the first answer. */
      readonly latencyMs: number | null
      /** Milliseconds by which the edge's own view of the stream may be behind, as its last HEARTBEAT said. */
      readonly lagMs: number
      /** Access changed a moment ago: what is missing now may come again at once. */
      readonly settling?: true
    }
  /** `of` is 0 until the edge has said how much there is. */
  | { readonly kind: "catching-up"; readonly done: number; readonly of: number }
  | { readonly kind: "connecting" }
  | {
      readonly kind: "offline"
      /** Milliseconds since 1970: when the server was last heard. */
      readonly since: number
      /** Edits not answered yet. */
      readonly waiting: number
      /** Set where another try would end the same way: what a person can do. */
      readonly reason: string | null
    }
  /** A token is needed. What is on the device stays, edits too. */
  | { readonly kind: "signed-out" }

export type StatusKind = Status["kind"]
