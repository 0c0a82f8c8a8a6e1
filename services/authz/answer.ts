/**
 * The answers of authz over NATS (protocol/request.ts): edges ask who a token is, what a user may see as of a sequence, and whether a user
 * may do something; people ask why (explain.ts). Each answer about access is exact as of the sequence asked for, or is not given.
 */
import { Effect } from "effect"
import type { Schema, Scope } from "effect"
import type { Nats } from "#nats/connection.ts"
import type { Log } from "#nats/log.ts"
import { serve } from "#nats/serve.ts"
import { ExplainRequest } from "#protocol/explain.ts"
import { AUTHZ_IN_FLIGHT, EXPLAIN_IN_FLIGHT } from "#protocol/limits.ts"
import type { MayReply, TokenReply } from "#protocol/request.ts"
import { DemoRequest, MayRequest, ofAll, QUEUE, REQUEST, RequestError, TokenRequest, ViewsRequest } from "#protocol/request.ts"
import { makeExplain } from "./explain.ts"
import type { LiveFold } from "./live-fold.ts"
import type { Tokens } from "./token.ts"
import { isUserId } from "./token.ts"
import { makeViews } from "./views.ts"

export interface Answering {
  readonly fold: LiveFold
  /** Where explanations read who granted a row. */
  readonly log: Log
  readonly tokens: Tokens
  /** Whether tokens are handed out (TIDELINE_DEMO). */
  readonly demo: boolean
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Bytes of patterns of one user at most (views.ts). */
  readonly viewBytes?: number
}

const signedOut = new RequestError({ code: "signed_out", message: "this session was signed out", hint: "sign in again for a new token" })

export const makeAnswers = ({ fold, log, tokens, now }: Answering) => ({
  token: async ({ token, at }: typeof TokenRequest.Type): Promise<TokenReply> => {
    // Both are waited for at once, for an edge waits no longer than REQUEST_TIMEOUT_MS.
    const reached = fold.reached(at ?? 0)
    reached.catch(() => {})
    const who = await tokens.verify(token)
    if ((await reached).signOuts.ended(who)) throw signedOut
    return who
  },

  may: async ({ user, level, scope, entity, id, at }: typeof MayRequest.Type): Promise<typeof MayReply.Type> => {
    const known = await fold.reached(at ?? 0)
    return { allowed: known.may(user, level, { scope, entity, id }, now()) }
  },

  explain: makeExplain({ fold, log, now }),

  /**
   * Any name gets a token, not only the demo's people: whoever may be ada may as well be a stranger, and a stranger, who sees only
   * what everyone may, is who shows that the rest is hidden.
   */
  demo: async ({ user }: typeof DemoRequest.Type): Promise<{ token: string }> => {
    if (!isUserId(user)) throw new RequestError({ code: "unauthorised", message: "not a user id", hint: "try ada" })
    return { token: await tokens.issue(user) }
  },
})

/** Answers for as long as the scope lives. */
export const answer = (nats: Nats, answering: Answering): Effect.Effect<void, never, Scope.Scope> => {
  const answers = makeAnswers(answering)
  const common = { queue: QUEUE.authz, inFlight: AUTHZ_IN_FLIGHT }
  /** What connections wait for: asked of one, and of all where that one does not answer. */
  const urgent = <Request, Encoded>(subject: string, request: Schema.ConstraintCodec<Request, Encoded>, handle: (asked: Request) => unknown) => [
    serve(nats, { ...common, name: subject, subject, request, handle }),
    serve(nats, { ...common, name: ofAll(subject), subject: ofAll(subject), queue: null, request, handle }),
  ]
  const all = [
    ...urgent(REQUEST.token, TokenRequest, answers.token),
    ...urgent(REQUEST.views, ViewsRequest, makeViews(answering)),
    serve(nats, { ...common, name: REQUEST.may, subject: REQUEST.may, request: MayRequest, handle: answers.may }),
    serve(nats, { ...common, inFlight: EXPLAIN_IN_FLIGHT, name: REQUEST.explain, subject: REQUEST.explain, request: ExplainRequest, handle: answers.explain }),
  ]
  if (answering.demo) all.push(serve(nats, { ...common, name: REQUEST.demo, subject: REQUEST.demo, request: DemoRequest, handle: answers.demo }))
  return Effect.all(all, { discard: true })
}
