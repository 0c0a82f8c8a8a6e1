/**
 * One connection: takes frames from a socket, asks session.ts what they mean, and does it. Also what the live flow knows of a connection
 * (live.ts). It ends with its socket and leaves nothing behind: the client's cursor is all that a reconnect needs.
 */
import { Result } from "effect"
import { randomUUID } from "node:crypto"
import type { Close } from "#protocol/close.ts"
import { CLOSE } from "#protocol/close.ts"
import type { Down, ErrorCode } from "#protocol/down.ts"
import { CURSOR_AHEAD_MS, EXPIRY_AGAIN_MS, FRAMES_BURST, FRAMES_PER_SECOND, SILENCE_MS } from "#protocol/limits.ts"
import type { Mutation } from "#protocol/mutation.ts"
import type { Credential } from "#protocol/sign-out.ts"
import type { Up } from "#protocol/up.ts"
import type { Access } from "./access.ts"
import { NO_ACCESS } from "./access.ts"
import type { Behind } from "./catch-up.ts"
import { catchUp, give } from "./catch-up.ts"
import { CommandQueue } from "./command.ts"
import type { Event } from "./event.ts"
import { decodeUp } from "./frame.ts"
import type { Member } from "./live.ts"
import { metrics } from "./metrics.ts"
import { Outlet } from "./outlet.ts"
import { Rate } from "./rate.ts"
import { asRequestError } from "./requests.ts"
import type { Chain, Progress } from "./send.ts"
import { retryDelay, step } from "./session.ts"
import type { Effect, Here, Input, Session } from "./session-state.ts"
import { NEW_SESSION } from "./session-state.ts"
import { SignIn } from "./sign-in.ts"
import { SIGNED_OUT } from "./whose.ts"
import type { Peer, Socket, World } from "./world.ts"

const NO_CHANGES = Buffer.alloc(0)
/** RFC 6455: the server met a condition it did not expect. To a client: reconnect later. */
const INTERNAL_ERROR = 1011
/** A timer can wait this long at most. */
const LONGEST_MS = 2 ** 31 - 1

export class Connection implements Member, Behind {
  readonly id = randomUUID()
  readonly #world: World
  readonly #socket: Socket
  readonly #peer: Peer
  readonly #onEnd: (connection: Connection) => void
  readonly #outlet: Outlet
  readonly #signIn: SignIn
  readonly #commands: CommandQueue
  readonly #rate: Rate
  #session: Session = NEW_SESSION
  #user = ""
  /** What the token says of itself that it came with last; null until it is checked. */
  credential: Credential | null = null
  #principals: ReadonlyArray<string> = []
  #reading: AbortController | null = null
  #inputs: Array<Input> = []
  #stepping = false
  #gone = false
  #held: Array<Up> = []
  #retryTimer: NodeJS.Timeout | undefined
  #expiryTimer: NodeJS.Timeout | undefined
  #heardAt: number
  /** Where the newest transaction ends that touched it while it is halted. */
  #touchedAt = 0
  // --- Member: read and written by the live flow
  pending: Chain | null = null
  last: Event | null = null
  open = false
  halted = false
  allowed = NO_ACCESS

  constructor(world: World, socket: Socket, peer: Peer, onEnd: (connection: Connection) => void) {
    this.#world = world
    this.#socket = socket
    this.#peer = peer
    this.#onEnd = onEnd
    this.#outlet = new Outlet(world, socket)
    this.#heardAt = performance.now()
    this.#rate = new Rate({ perSecond: FRAMES_PER_SECOND, burst: FRAMES_BURST }, performance.now())
    this.#commands = new CommandQueue(world.commands)
    this.#signIn = new SignIn(world, {
      signedIn: (who, expiresAt) => {
        const { userId, sessionId } = who
        this.#user = userId
        this.credential = who
        world.signOuts.register(this, userId)
        this.#send({ type: "AUTH_SUCCESS", payload: { userId, connectionId: this.id, expiresAt, ...(sessionId === null ? {} : { sessionId }) } })
        this.#input({ type: "signed-in" })
        const held = this.#held
        this.#held = []
        for (const frame of held) this.#input(asInput(frame))
      },
      renewed: (who) => (this.credential = who),
      refused: (code, message, hint) => this.#input({ type: "refused", code, message, hint }),
      send: (frame) => this.#send(frame),
      close: (why, frame) => this.end(why, frame),
    })
  }

  // --- from the socket ---------------------------------------------------------------------------------------------------

  /** A token that stood on the address. */
  token(token: string): void {
    this.#input({ type: "AUTH", payload: { token } })
  }

  /** A text frame. */
  text(text: string): void {
    if (this.#session.phase === "closed") return
    this.#heardAt = performance.now()
    const verdict = this.#rate.take(this.#heardAt)
    if (verdict.type === "close") return this.#refuse("tooMany", "too_many", "the limit was not heeded", "reconnect later, send less")
    if (verdict.type === "wait") {
      const { retryAfter } = verdict
      const message = `more than ${FRAMES_PER_SECOND} frames a second: this one was not read`
      if (verdict.tell) this.#send({ type: "ERROR", payload: { code: "too_many", message, hint: "send it again, more slowly", retryAfter } })
      return
    }
    const frame = decodeUp(text)
    if (Result.isFailure(frame)) this.#refuse("malformed", frame.failure.code, frame.failure.message, frame.failure.hint)
    else this.#input(asInput(frame.success))
  }

  /** What is no text frame, or a frame above the limit. */
  badFrame(code: Extract<ErrorCode, "malformed" | "too_large">, message: string, hint: string): void {
    this.#refuse("malformed", code, message, hint)
  }

  /** A sign of life that is no frame. */
  alive(): void {
    this.#heardAt = performance.now()
  }

  /** The socket has room again. */
  socketDrained(): void {
    this.#outlet.pressure.drained()
    this.#input({ type: "drained" })
  }

  /** The socket has ended. */
  socketClosed(): void {
    this.#input({ type: "ended" })
    this.#over()
  }

  // --- from the edge -----------------------------------------------------------------------------------------------------

  /**
   * An `_acl` event of the transaction that ends at `at` names one of the user's principals. Comes before the edge's position moves there, when
   * nothing is pending. From now on it is told nothing later; what follows from it is done in turn, for there may be ten thousand.
   */
  touched(at: number): void {
    metrics.touched.add()
    if (this.#session.phase !== "live") return this.#input({ type: "touched", at })
    this.#touchedAt = at
    if (this.halted) return
    this.#settleLive()
    this.halted = true
    this.#world.turns.add(() => {
      if (this.halted) this.#input(null)
      return false
    })
  }

  /** A sign-out that names its token is in the transaction that comes next. Comes before the edge's position moves there: what is pending is the last that is sent. */
  signedOut(): void {
    metrics.signedOut.add()
    this.#commands.stop()
    const { code, message, hint } = SIGNED_OUT
    this.#refuse("unauthorised", code, message, hint)
  }

  /** Every HEARTBEAT_MS. */
  heartbeat(): void {
    const { phase } = this.#session
    if (phase === "closed") return
    // One that is full is not read from; Pressure knows whether it is dead.
    if (!this.#outlet.pressure.full && performance.now() - this.#heardAt > SILENCE_MS) return this.#socket.terminate()
    this.#socket.ping()
    if (phase === "live") this.#settleLive()
    if (phase === "slow" || phase === "hello" || phase === "checking") return
    // Nothing is known yet of where the client stands: a sign of life without a position.
    if (phase === "idle") this.#send({ type: "PONG", payload: {} })
    else this.#outlet.heartbeat(this.#session.claim)
  }

  /** Ends the connection with a reason that the client can act upon. */
  end(why: Close, frame: Down | null = null): void {
    if (this.#session.phase === "closed") return
    this.#input({ type: "ended" })
    if (frame !== null) this.#send(frame)
    this.#socket.close(CLOSE[why].code, CLOSE[why].reason)
    this.#over()
  }

  #refuse(why: Close, code: ErrorCode, message: string, hint: string): void {
    this.end(why, { type: "ERROR", payload: { code, message, hint } })
  }

  #over(): void {
    if (this.#gone) return
    this.#gone = true
    this.#signIn.end()
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#expiryTimer)
    this.#outlet.pressure.end()
    this.#reading?.abort()
    this.#world.live.leave(this, this.#session.target)
    this.#world.touches.forget(this, this.#principals)
    this.#world.signOuts.forget(this, this.#user)
    this.#onEnd(this)
  }

  // --- the session -------------------------------------------------------------------------------------------------------

  /** Takes an input, after what touched it while it is halted; null: that alone. What comes of it goes to the socket as one write. */
  #input(input: Input | null): void {
    if (this.halted && !this.#stepping) this.#inputs.push({ type: "touched", at: this.#touchedAt })
    if (input !== null) this.#inputs.push(input)
    if (this.#stepping) return
    this.#stepping = true
    this.#socket.cork()
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        if (this.#session.phase === "live") this.#settleLive()
        const { session, effects } = step(this.#session, next, this.#here())
        this.#session = session
        if (next.type === "touched") this.halted = false
        for (const effect of effects) this.#run(effect)
      }
    } catch (cause) {
      this.#broken(cause)
    } finally {
      this.#stepping = false
      this.#socket.uncork()
    }
  }

  /** A broken promise inside: nothing that this connection says can be relied upon any more. */
  #broken(cause: unknown): void {
    this.#world.defect(cause)
    this.#session = { ...this.#session, phase: "closed" }
    this.#inputs = []
    this.#send({ type: "ERROR", payload: { code: "internal", message: "the edge made a mistake", hint: "reconnect; the edge's log says more" } })
    this.#socket.close(INTERNAL_ERROR, "internal")
    this.#over()
  }

  #here(): Here {
    const { ring, epochs, entities } = this.#world
    return { position: this.#outlet.position, head: ring.head, epochs, isServed: (entity) => entities.isServed(entity), knowsEntities: this.#world.knowsEntities() }
  }

  /** Sends what is pending, so that the position is the edge's. */
  #settleLive(): void {
    if (this.halted) return
    if (this.pending !== null) this.flush()
    this.#outlet.position = this.#world.ring.head
  }

  #run(effect: Effect): void {
    switch (effect.type) {
      case "send":
        if (effect.frame.type === "RESET") metrics.resets.add()
        return this.#send(effect.frame)
      case "check-token":
        return this.#signIn.check(effect.token)
      case "refresh-token":
        return this.#signIn.refresh(effect.token)
      case "mutate":
        return void this.#mutate(effect.mutations)
      case "hold":
        if (this.#held.length >= FRAMES_BURST) return this.#refuse("tooMany", "too_many", "too many frames before AUTH_SUCCESS", "wait for it")
        this.#held.push(effect.frame)
        return
      case "place":
        return this.#outlet.place(effect.position)
      case "ask":
        return this.#ask(effect.ask, effect.at, effect.before)
      case "retry-later":
        clearTimeout(this.#retryTimer)
        this.#retryTimer = setTimeout(() => this.#input({ type: "retry" }), retryDelay(effect.tries) * (0.5 + this.#world.random()))
        return
      case "announce":
        return this.#outlet.heartbeat(effect.claim)
      case "give":
        return give(this.#world, this, effect.patterns, effect.after, effect.upTo, this.#read())
      case "catch-up":
        return catchUp(this.#world, this, effect.view, effect.upTo, this.#read())
      case "stop":
        this.#reading?.abort()
        this.#reading = null
        return
      case "join":
        this.#outlet.live(this.#session.claim)
        return this.#world.live.join(this, effect.view)
      case "leave":
        // Every step that leaves keeps the target it joined with until it is resolved anew.
        return this.#world.live.leave(this, this.#session.target)
      case "close":
        this.#socket.close(CLOSE[effect.why].code, CLOSE[effect.why].reason)
        return this.#over()
    }
  }

  #read(): AbortSignal {
    this.#reading?.abort()
    this.#reading = new AbortController()
    return this.#reading.signal
  }

  #ask(ask: number, at: number, before: ReadonlyArray<number>): void {
    clearTimeout(this.#retryTimer)
    const { accesses, ring } = this.#world
    const asked = (first: number | null): void =>
      accesses.ask(this.#user, at, before, (answer) => {
        if (this.#session.phase === "closed" || this.#session.ask !== ask) return
        if (Result.isFailure(answer)) return this.#unresolved(ask, answer.failure)
        this.#adopt(answer.success)
        const { allowed, allowedBefore, principals } = answer.success
        this.#input({ type: "resolved", ask, at, allowed, allowedBefore: before.length === 0 ? null : allowedBefore, first, stale: this.#world.touches.since(at, principals) })
      })
    if (at <= ring.head && (before.length === 0 || this.#outlet.position >= ring.floor)) asked(null)
    else this.#readied(ask, at, before.length > 0).then((first) => first !== undefined && asked(first), (cause: unknown) => this.#unresolved(ask, cause))
  }

  /** Waits until the edge has reached the position; answers the first sequence of the log where the client's may be older. Undefined: it said why not. */
  async #readied(ask: number, at: number, resumes: boolean): Promise<number | null | undefined> {
    const { log, reach, ring } = this.#world
    if (at > ring.head && !(await reach(at, CURSOR_AHEAD_MS))) {
      const { last } = await log.head()
      if (last < at) this.#input({ type: "ahead", ask })
      else this.#input({ type: "unresolved", ask, code: "unavailable", message: "the edge is behind the log", hint: "it goes on by itself" })
      return undefined
    }
    return resumes && this.#outlet.position < ring.floor ? (await log.head()).first : null
  }

  #unresolved(ask: number, cause: unknown): void {
    const { code, message, hint } = asRequestError(cause)
    this.#input({ type: "unresolved", ask, code: code === "too_large" ? code : "unavailable", message, hint })
  }

  #adopt({ principals, allowed, expiresAt }: Access): void {
    this.allowed = allowed
    this.#world.touches.register(this, principals, this.#principals)
    this.#principals = principals
    clearTimeout(this.#expiryTimer)
    if (expiresAt === null) return
    const left = expiresAt - this.#world.now()
    this.#expiryTimer = setTimeout(() => this.#input({ type: "expired" }), Math.min(LONGEST_MS, Math.max(EXPIRY_AGAIN_MS, left)))
  }

  async #mutate(mutations: ReadonlyArray<Mutation>): Promise<void> {
    const { userAgent, ip } = this.#peer
    const author = { user: this.#user, requestId: randomUUID(), endpoint: "/ws", method: "MUTATE", userAgent, ip, trace: null }
    const { results, error } = await this.#commands.apply(mutations, author)
    if (this.#session.phase === "closed") return
    if (results.length > 0) this.#send({ type: "MUTATED", payload: { results } })
    if (error === null) return
    const { code, message, hint, retryAfter } = error
    this.#send({ type: "ERROR", payload: { code, message, hint, ...(retryAfter === undefined ? {} : { retryAfter }) } })
  }

  // --- to the socket -----------------------------------------------------------------------------------------------------

  #send(frame: Down): void {
    this.#outlet.send(frame)
  }

  /** Member: what is pending, up to the edge's position. A mistake in one connection must not end the others. */
  flush(): void {
    try {
      this.#flush()
    } catch (cause) {
      this.#broken(cause)
    }
  }

  #flush(): void {
    const { live, ring } = this.#world
    const { claim, mode } = this.#session
    const chain = this.pending
    this.pending = null
    const parts = chain === null ? [{ to: ring.head, body: NO_CHANGES, more: false }] : chain.parts(mode, ring.head, live.openTransaction)
    for (const part of parts) {
      this.open = part.more
      this.#outlet.share(mode, claim, part)
    }
    if (this.open) live.opened(this)
    if (this.isFull()) this.full()
  }

  // --- Behind: what catch-up.ts does with it -------------------------------------------------------------------------------

  get mode(): Session["mode"] {
    return this.#session.mode
  }

  get position(): number {
    return this.#outlet.position
  }

  tell(to: number | null, body: string, progress: Progress | null): void {
    this.#outlet.tell(this.#session.mode, this.#session.claim, to, body, progress)
  }

  pass(to: number): void {
    if (to > this.#outlet.position) this.#outlet.position = to
  }

  isFull(): boolean {
    return this.#outlet.pressure.full
  }

  drained(withinMs: number): Promise<boolean> {
    return this.#outlet.pressure.wait(withinMs)
  }

  gave(after: number): void {
    this.#input({ type: "gave", after })
  }

  given(): void {
    this.#input({ type: "given" })
  }

  caughtUp(): void {
    this.#input({ type: "caught-up" })
  }

  behind(): void {
    this.#input({ type: "behind" })
  }

  full(): void {
    metrics.slow.add()
    this.#input({ type: "full" })
  }

  unread(message: string, hint: string): void {
    this.#input({ type: "unread", message, hint })
  }
}

const asInput = ({ type, payload }: Up): Input => ({ type, payload }) as Input
