/**
 * Who is at the other end, until when. Asks authz about tokens, warns before the token ends, ends the connection with it, and takes
 * a new one of the same user in its place.
 */
import type { Close } from "#protocol/close.ts"
import type { Down, ErrorCode } from "#protocol/down.ts"
import { AUTH_TIMEOUT_MS, TOKEN_WARNING_S } from "#protocol/limits.ts"
import type { TokenReply } from "#protocol/request.ts"
import { retryDelay } from "./session.ts"
import { whose } from "./whose.ts"
import type { World } from "./world.ts"

export interface SignInEvents {
  readonly signedIn: (who: TokenReply, expiresAt: string) => void
  /** Another token of the same user has taken the place of the one before. */
  readonly renewed: (who: TokenReply) => void
  readonly refused: (code: ErrorCode, message: string, hint: string) => void
  readonly send: (frame: Down) => void
  readonly close: (why: Close, frame: Down | null) => void
}

/** A timer can wait this long at most. */
const LONGEST_MS = 2 ** 31 - 1

export class SignIn {
  readonly #world: World
  readonly #events: SignInEvents
  #user: string | null = null
  #ended = false
  #timer: NodeJS.Timeout
  /** Counts the tokens that came in place of the first: an answer to an older one than was taken is void. */
  #asked = 0
  #taken = 0

  constructor(world: World, events: SignInEvents) {
    this.#world = world
    this.#events = events
    this.#timer = setTimeout(() => {
      const message = `no AUTH within ${AUTH_TIMEOUT_MS / 1_000} seconds`
      events.close("unauthorised", { type: "ERROR", payload: { code: "unauthorised", message, hint: "send AUTH first" } })
    }, AUTH_TIMEOUT_MS)
  }

  /** Asks about the first token until authz answers. */
  check(token: string, tries = 1): void {
    clearTimeout(this.#timer)
    whose(
      this.#world,
      token,
      (who) => {
        if (this.#ended) return
        this.#user = who.userId
        this.#lasts(who.lasts)
        this.#events.signedIn(who, new Date(who.expiresAt * 1_000).toISOString())
      },
      ({ code, message, hint }) => {
        if (this.#ended) return
        if (code !== "unavailable" && code !== "internal") return this.#events.refused(code, message, hint)
        const delay = retryDelay(tries)
        this.#events.send({ type: "ERROR", payload: { code: "unavailable", message, hint, retryAfter: Math.ceil(delay / 1_000) } })
        this.#timer = setTimeout(() => this.check(token, tries + 1), delay * (0.5 + this.#world.random()))
      },
    )
  }

  /**
   * A new token in place of the old one, which stays good until it ends if the new one is not. While authz is away the client is told
   * when to send it again: only it knows whether it has a newer one by then.
   */
  refresh(token: string): void {
    const asked = ++this.#asked
    whose(
      this.#world,
      token,
      (who) => {
        if (this.#ended) return
        if (who.userId !== this.#user) return this.#tell("unauthorised", "the token is another user's", "open another connection for another user")
        if (asked < this.#taken) return
        this.#taken = asked
        this.#events.renewed(who)
        this.#lasts(who.lasts)
      },
      ({ code, message, hint, retryAfter }) => {
        if (!this.#ended) this.#tell(code, message, hint, retryAfter)
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

  #lasts(seconds: number): void {
    this.#until(performance.now() + seconds * 1_000)
  }

  /** `end` by the machine's steady clock: what others set theirs to is no concern of a token that is good for so long. */
  #until(end: number): void {
    clearTimeout(this.#timer)
    const warnIn = end - performance.now() - TOKEN_WARNING_S * 1_000
    if (warnIn > LONGEST_MS) {
      this.#timer = setTimeout(() => this.#until(end), LONGEST_MS)
      return
    }
    this.#timer = setTimeout(
      () => {
        const expiresIn = Math.max(0, Math.round((end - performance.now()) / 1_000))
        this.#events.send({ type: "TOKEN_EXPIRING_SOON", payload: { expiresIn } })
        this.#endAt(end)
      },
      Math.max(0, warnIn),
    )
  }

  #endAt(end: number): void {
    const left = end - performance.now()
    // A timer may be a little early.
    if (left <= 0) this.#events.close("tokenExpired", null)
    else this.#timer = setTimeout(() => this.#endAt(end), Math.ceil(left))
  }
}
