/**
 * What an edge asks other services over NATS: who is it, what may they see, please apply this. JSON in and out (protocol/request.ts).
 * Every rejected promise is a `RequestError`; where nobody answers it is `unavailable`, and asking again is safe.
 */
import { Result, Schema } from "effect"
import type { Nats } from "#nats/connection.ts"
import type { AccessChangeResult } from "#protocol/access-change.ts"
import type { ExplainRequest } from "#protocol/explain.ts"
import { ExplainReply } from "#protocol/explain.ts"
import { REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import type { Pattern } from "#protocol/grant.ts"
import type { MutationResult } from "#protocol/mutation.ts"
import type { PatternTuple, TokenReply, ViewAsk } from "#protocol/request.ts"
import { AccessChangeReply, AccessChangeRequest, CommandReply, CommandRequest, DemoReply, REQUEST, reply, RequestError, TokenReply as TokenReplySchema, ViewsReply } from "#protocol/request.ts"
import { accessSubject } from "#protocol/subject.ts"
import { askAuthz } from "./ask.ts"

export interface Requests {
  /** Whose the token is, as of `at` or later. */
  readonly token: (token: string, at: number) => Promise<TokenReply>
  /** What users may see, each as of its own sequence, in this order; perhaps not of all: the rest must be asked again. */
  readonly views: (asks: ReadonlyArray<ViewAsk>) => Promise<ReadonlyArray<Viewed | RequestError>>
  /** Why somebody may do something, as far as the asker may know. */
  readonly explain: (request: ExplainRequest) => Promise<ExplainReply>
  readonly demo: (user: string) => Promise<{ readonly token: string }>
  readonly command: (subject: string, request: typeof CommandRequest.Type) => Promise<MutationResult>
  readonly changeAccess: (request: typeof AccessChangeRequest.Type) => Promise<AccessChangeResult>
}

/** Users with the same rights are given the same list. */
export interface Viewed {
  readonly principals: ReadonlyArray<string>
  readonly allowed: ReadonlyArray<Pattern>
  /** As of each sequence that was asked about beside; null where one of them is not known. */
  readonly allowedBefore: ReadonlyArray<ReadonlyArray<Pattern>> | null
  /** Milliseconds since 1970, or null. */
  readonly expiresAt: number | null
}

export const natsRequests = (nats: Nats): Requests => {
  const askOne = async (subject: string, request: string) => (await nats.connection.request(subject, request, { timeout: REQUEST_TIMEOUT_MS })).string()
  const askAny = (subject: string, request: string) => askAuthz(nats, subject, request)
  const ask = <S extends Schema.ConstraintDecoder<unknown>>(value: S, send = askOne) => {
    const decode = Schema.decodeUnknownResult(Schema.fromJsonString(reply(value)))
    return async (subject: string, request: unknown): Promise<S["Type"]> => {
      let text: string
      try {
        text = await send(subject, JSON.stringify(request))
      } catch (cause) {
        throw away(subject, cause)
      }
      const decoded = decode(text)
      if (Result.isFailure(decoded))
        throw new RequestError({ code: "internal", message: `${subject}: the reply cannot be read`, hint: "do both services speak the same version?" })
      const answer = decoded.success as { ok: true; value: S["Type"] } | { ok: false; error: RequestError }
      if (answer.ok) return answer.value
      throw answer.error
    }
  }
  const token = ask(TokenReplySchema, askAny)
  const views = ask(ViewsReply, askAny)
  const explain = ask(ExplainReply)
  const demo = ask(DemoReply)
  const command = ask(CommandReply)
  const encodeCommand = Schema.encodeSync(CommandRequest)
  const changeAccess = ask(AccessChangeReply)
  const encodeAccessChange = Schema.encodeSync(AccessChangeRequest)
  return {
    token: (text, at) => token(REQUEST.token, { token: text, at }),
    views: async (asks) => viewed(await views(REQUEST.views, { asks })),
    explain: (request) => explain(REQUEST.explain, request),
    demo: (user) => demo(REQUEST.demo, { user }),
    command: (subject, request) => command(subject, encodeCommand(request)),
    changeAccess: (request) => changeAccess(accessSubject(request.user), encodeAccessChange(request)),
  }
}

const viewed = ({ views, patterns }: typeof ViewsReply.Type): ReadonlyArray<Viewed | RequestError> => {
  const lists = patterns.map((list) => (list instanceof Array ? list.map(pattern) : unreadable()))
  const list = (place: number): ReadonlyArray<Pattern> => lists[place] ?? unreadable()
  return views.map((one) => {
    if ("error" in one) return one.error
    const { principals, view, before, expiresAt } = one
    return { principals, allowed: list(view), allowedBefore: before === null ? null : before.map(list), expiresAt }
  })
}

/** Looked at by hand: a user may have ten thousand. */
const pattern = (tuple: unknown): Pattern => {
  const [scope, entity, id] = tuple instanceof Array ? (tuple as unknown as PatternTuple) : unreadable()
  return isPart(scope) && isPart(entity) && isPart(id) ? { scope, entity, id } : unreadable()
}
const isPart = (part: unknown): part is string | null => part === null || typeof part === "string"
const unreadable = (): never => {
  throw new RequestError({ code: "internal", message: `${REQUEST.views}: the reply cannot be read`, hint: "do both services speak the same version?" })
}

const away = (subject: string, cause: unknown): RequestError =>
  new RequestError({
    code: "unavailable",
    message: `${subject.split(".", 1)[0] === "cmd" ? "the command service" : "the access service"} does not answer: ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: "nothing is lost: ask again",
    retryAfter: 1,
  })

/** Whatever was thrown, as a `RequestError`. */
export const asRequestError = (cause: unknown): RequestError =>
  cause instanceof RequestError
    ? cause
    : // What went wrong inside is the operator's to read: it may speak of anybody's rows.
      new RequestError({ code: "internal", message: "the edge made a mistake", hint: "the edge's log says more" })
