/**
 * Asking why, and changing who may do what: over HTTP, because a change of access must never wait in an offline queue, and because
 * why is authz' to say. What is shown as granted comes from the live replica (`_grant`, `_member`), or from these answers; never from a wish.
 */
import type { AccessChange, AccessChangeResult } from "#protocol/access-change.ts"
import type { ExplainReply } from "#protocol/explain.ts"
import type { Level } from "#protocol/grant.ts"

/** For people: what went wrong and what to do. */
export class AccessError extends Error {
  override readonly name = "AccessError"
}

export interface Question {
  /** `user:<id>`, `role:<name>`, `everyone`; absent: everybody. */
  readonly of?: string
  readonly scope?: string | null
  readonly entity?: string | null
  readonly id?: string | null
}

/** Milliseconds before a request that found nobody is made once more. */
const AGAIN_MS = 700
const TRIES = 3

const request = async (token: string, path: string, init: RequestInit = {}): Promise<unknown> => {
  for (let tries = 1; ; tries++) {
    const answer = await fetch(path, {
      ...init,
      cache: "no-store",
      headers: { authorization: `Bearer ${token}`, ...(init.body === undefined ? {} : { "content-type": "application/json" }) },
    }).catch(() => null)
    if (answer?.ok === true) return answer.json()
    const away = answer === null || answer.status === 503
    if (away && tries < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * tries))
      continue
    }
    if (answer === null) throw new AccessError("The server does not answer. Who may do what can only be changed online: try again when the corner says Live.")
    const body = (await answer.json().catch(() => null)) as { readonly message?: string } | null
    if (answer.status === 401) throw new AccessError("Your sign-in has ended. Sign in again.")
    throw new AccessError(away ? "The server cannot do this now. Try again in a moment." : `The server refused: ${body?.message ?? answer.status}.`)
  }
}

const queryOf = ({ of, scope, entity, id }: Question, after: string | null, limit: number): string => {
  const query = new URLSearchParams({ limit: String(limit) })
  if (of === "everyone") query.set("everyone", "")
  else if (of?.startsWith("role:") === true) query.set("role", of.slice("role:".length))
  else if (of !== undefined) query.set("user", of.slice("user:".length))
  for (const [name, value] of [["scope", scope], ["entity", entity], ["id", id], ["after", after]] as const) if (value !== null && value !== undefined) query.set(name, value)
  return query.toString()
}

/** One page. Rejects with AccessError. */
export const explain = async (token: string, question: Question, after: string | null = null, limit = 200): Promise<ExplainReply> =>
  (await request(token, `/v1/access?${queryOf(question, after, limit)}`)) as ExplainReply

/** Milliseconds before a question is asked again where the edge that answered is behind what this page holds. */
const BEHIND_MS = 120
const BEHIND_TRIES = 20

/** As `explain`, and no answer from before `position`, where one is to be had in time: another edge may answer than the one that told this page. */
export const explainSince = async (token: string, position: number, question: Question, limit = 200, wanted: () => boolean = () => true): Promise<ExplainReply> => {
  for (let tries = 0; ; tries++) {
    const reply = await explain(token, question, null, limit)
    if (reply.at >= position || tries === BEHIND_TRIES || !wanted()) return reply
    await new Promise((resolve) => setTimeout(resolve, BEHIND_MS))
  }
}

/** The level that the principal holds on all of it. */
export const levelOn = async (token: string, question: Question, position = 0): Promise<Level | null> => (await explainSince(token, position, question, 1)).level

/** Asks for the change; a repeat with the same id is harmless. Rejects with AccessError where it is not known what became of it. */
export const changeAccess = async (token: string, change: AccessChange): Promise<AccessChangeResult> =>
  (await request(token, "/v1/access", { method: "POST", body: JSON.stringify(change) })) as AccessChangeResult

/** Who ended a grant or a membership, and when; null where it is not gone, or not to be seen. */
export const endOf = async (token: string, entity: "_grant" | "_member", id: string): Promise<{ readonly by: string | null; readonly at: string } | null> => {
  const history = (await request(token, `/v1/${entity}/${encodeURIComponent(id)}/history`).catch(() => null)) as {
    readonly items: ReadonlyArray<{ readonly operation: string; readonly by: string | null; readonly timestamp: string }>
  } | null
  const last = history?.items.at(-1)
  return last?.operation === "DELETE" ? { by: last.by, at: last.timestamp } : null
}
