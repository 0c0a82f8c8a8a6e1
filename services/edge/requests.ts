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
import type { MutationResult } from "#protocol/mutation.ts"
import type { TokenReply, ViewReply } from "#protocol/request.ts"
import { AccessChangeReply, AccessChangeRequest, CommandReply, CommandRequest, DemoReply, REQUEST, reply, RequestError, TokenReply as TokenReplySchema, ViewReply as ViewReplySchema } from "#protocol/request.ts"
import { accessSubject } from "#protocol/subject.ts"

export interface Requests {
  /** Whose the token is, as of `at` or later. */
  readonly token: (token: string, at: number) => Promise<TokenReply>
  /** What `user` may see as of `at`, and what as of `before`. */
  readonly view: (user: string, at: number, before: number | null) => Promise<ViewReply>
  /** Why somebody may do something, as far as the asker may know. */
  readonly explain: (request: ExplainRequest) => Promise<ExplainReply>
  readonly demo: (user: string) => Promise<{ readonly token: string }>
  readonly command: (subject: string, request: typeof CommandRequest.Type) => Promise<MutationResult>
  readonly changeAccess: (request: typeof AccessChangeRequest.Type) => Promise<AccessChangeResult>
}

export const natsRequests = (nats: Nats): Requests => {
  const ask = <S extends Schema.ConstraintDecoder<unknown>>(value: S) => {
    const decode = Schema.decodeUnknownResult(Schema.fromJsonString(reply(value)))
    return async (subject: string, request: unknown): Promise<S["Type"]> => {
      let text: string
      try {
        text = (await nats.connection.request(subject, JSON.stringify(request), { timeout: REQUEST_TIMEOUT_MS })).string()
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
  const token = ask(TokenReplySchema)
  const view = ask(ViewReplySchema)
  const explain = ask(ExplainReply)
  const demo = ask(DemoReply)
  const command = ask(CommandReply)
  const encodeCommand = Schema.encodeSync(CommandRequest)
  const changeAccess = ask(AccessChangeReply)
  const encodeAccessChange = Schema.encodeSync(AccessChangeRequest)
  return {
    token: (text, at) => token(REQUEST.token, { token: text, at }),
    view: (user, at, before) => view(REQUEST.view, { user, at, ...(before === null ? {} : { before }) }),
    explain: (request) => explain(REQUEST.explain, request),
    demo: (user) => demo(REQUEST.demo, { user }),
    command: (subject, request) => command(subject, encodeCommand(request)),
    changeAccess: (request) => changeAccess(accessSubject(request.user), encodeAccessChange(request)),
  }
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
    : new RequestError({ code: "internal", message: cause instanceof Error ? cause.message : String(cause), hint: "the edge's log says more" })
