/**
 * Who is at the other end, until when. Asks authz about tokens, warns before the token ends, ends the connection with it, and takes
 * a new one of the same user in its place.
 */
import type { Close } from "#protocol/close.ts"
import type { Down, ErrorCode } from "#protocol/down.ts"
import { AUTH_TIMEOUT_MS, TOKEN_WARNING_S } from "#protocol/limits.ts"
import { asRequestError } from "./requests.ts"
import { retryDelay } from "./session.ts"
import type { World } from "./world.ts"

export interface SignInEvents {
  readonly signedIn: (user: string, expiresAt: string) => void
  readonly refused: (message: string, hint: string) => void
  readonly send: (frame: Down) => void
  readonly close: (why: Close, frame: Down | null) => void
}

/** A timer can wait this long at most. */
const LONGEST_MS = 2 ** 31 - 1

export class SignIn {
  readonly #services: World
  readonly #events: SignInEvents
  #user: string | null = null
  #ended = false
  #timer: NodeJS.Timeout

  constructor(services: World, events: SignInEvents) {
    this.#services = services
    this.#events = events
    this.#timer = setTimeout(() => {
      const message = `no AUTH within ${AUTH_TIMEOUT_MS / 1_000} seconds`
      events.close("unauthorised", { type: "ERROR", payload: { code: "unauthorised", message, hint: "send AUTH first" } })
    }, AUTH_TIMEOUT_MS)
  }

  /** Asks about the first token until authz answers. */
  check(token: string, tries = 1): void {
    clearTimeout(this.#timer)
    this.#services.requests.token(token).then(
      ({ userId, expiresAt }) => {
        if (this.#ended) return
        this.#user = userId
        this.#until(expiresAt)
        this.#events.signedIn(userId, new Date(expiresAt * 1_000).toISOString())
      },
      (cause: unknown) => {
        if (this.#ended) return
        const { code, message, hint } = asRequestError(cause)
        if (code === "unauthorised" || code === "malformed") return this.#events.refused(message, hint)
        const delay = retryDelay(tries)
        this.#events.send({ type: "ERROR", payload: { code: "unavailable", message, hint, retryAfter: Math.ceil(delay / 1_000) } })
        this.#timer = setTimeout(() => this.check(token, tries + 1), delay * (0.5 + this.#services.random()))
      },
    )
  }

  /** A new token in place of the old one, which stays good until it ends if the new one is not. */
  refresh(token: string): void {
    this.#services.requests.token(token).then(
      ({ userId, expiresAt }) => {
        if (this.#ended) return
        if (userId === this.#user) return this.#until(expiresAt)
        this.#tell("unauthorised", "the token is another user's", "open another connection for another user")
      },
      (cause: unknown) => {
        if (this.#ended) return
        const { code, message, hint, retryAfter } = asRequestError(cause)
        this.#tell(code, message, hint, retryAfter)
      },
    )
  }

  /** Ends the timers. */
  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
  }

  #tell(code: ErrorCode, message: string, hint: string, retryAfter?: number): void {
    this.#events.send({
      type: "ERROR",
      payload: { code, message, hint, ...(retryAfter === undefined ? {} : { retryAfter }) },
    })
  }

  /** `expiresAt`: seconds since 1970. */
  #until(expiresAt: number): void {
    clearTimeout(this.#timer)
    const left = expiresAt * 1_000 - this.#services.now()
    const warnIn = left - TOKEN_WARNING_S * 1_000
    if (warnIn > LONGEST_MS) {
      this.#timer = setTimeout(() => this.#until(expiresAt), LONGEST_MS)
      return
    }
    this.#timer = setTimeout(
      () => {
        const expiresIn = Math.max(0, Math.round((expiresAt * 1_000 - this.#services.now()) / 1_000))
        this.#events.send({ type: "TOKEN_EXPIRING_SOON", payload: { expiresIn } })
        this.#timer = setTimeout(() => this.#events.close("tokenExpired", null), Math.max(0, expiresAt * 1_000 - this.#services.now()))
      },
      Math.max(0, warnIn),
    )
  }
}
