/** What authz says of one user's view, asked for and read as an edge does. */
import type { Pattern } from "#protocol/grant.ts"
import type { PatternTuple } from "#protocol/request.ts"

interface View {
  readonly principals: ReadonlyArray<string>
  readonly allowed: ReadonlyArray<Pattern>
  readonly allowedBefore: ReadonlyArray<Pattern> | null
  readonly expiresAt: number | null
}
/** `value` where it is ok, else `error`. */
export interface ViewAnswer {
  readonly ok: boolean
  readonly value: View
  readonly error: Record<string, unknown>
}

interface Place {
  readonly principals: ReadonlyArray<string>
  readonly view: number
  readonly before: ReadonlyArray<number> | null
  readonly expiresAt: number | null
  readonly error?: Record<string, unknown>
}

export const viewQuestion = ({ user, at, before }: { readonly user: string; readonly at: number; readonly before?: number | undefined }): string =>
  JSON.stringify({ asks: [{ user, at, before: before === undefined ? [] : [before] }] })

export const viewAnswer = (text: string): ViewAnswer => {
  const reply = JSON.parse(text) as { readonly value?: { readonly views: readonly [Place]; readonly patterns: ReadonlyArray<ReadonlyArray<PatternTuple>> }; readonly error?: Record<string, unknown> }
  const { views: [one], patterns } = reply.value ?? { views: [{ error: reply.error } as unknown as Place] as const, patterns: [] }
  if (one.error !== undefined) return { ok: false, value: {} as View, error: one.error }
  const list = (place: number): ReadonlyArray<Pattern> => patterns[place]!.map(([scope, entity, id]) => ({ scope, entity, id }))
  const { principals, view, before, expiresAt } = one
  const [earlier] = before ?? []
  return { ok: true, value: { principals, allowed: list(view), allowedBefore: earlier === undefined ? null : list(earlier), expiresAt }, error: {} }
}
