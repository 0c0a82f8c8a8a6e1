/** Every ending of a connection, and what the client does next. One table for both ends. */

/** `now`: with jitter, at once. `later`: with back-off. `sign-in`: get a token first. `stop`: another try would end the same way. */
export type Next = "now" | "later" | "sign-in" | "stop"

export interface Ending {
  readonly code: number
  readonly reason: string
  readonly next: Next
}

export const CLOSE = {
  malformed: { code: 4000, reason: "malformed frame", next: "stop" },
  unauthorised: { code: 4001, reason: "unauthorised", next: "sign-in" },
  tokenExpired: { code: 4002, reason: "token expired", next: "sign-in" },
  originRefused: { code: 4003, reason: "origin refused", next: "stop" },
  tooMany: { code: 4008, reason: "too many requests", next: "later" },
  draining: { code: 4010, reason: "edge is draining, reconnect elsewhere", next: "now" },
  versionNotSpoken: { code: 4011, reason: "protocol version not spoken", next: "stop" },
} as const satisfies Record<string, Ending>
export type Close = keyof typeof CLOSE

/** What to do after a close code. One that is not ours (the network, a proxy, a crash): later. */
export const nextAfter = (code: number): Next => Object.values(CLOSE).find((ending) => ending.code === code)?.next ?? "later"
