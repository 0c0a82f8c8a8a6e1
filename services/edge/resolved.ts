/**
 * Authz has answered: what must be told, given and caught up. The step that every change of a view goes through, whether it was asked for,
 * granted, taken away or brought along in a cursor.
 */
import type { Cursor } from "#protocol/cursor.ts"
import { parseView, viewToken } from "#protocol/cursor.ts"
import type { Pattern, ViewPattern } from "#protocol/grant.ts"
import { normalise, restrict } from "#protocol/grant.ts"
import { VIEW_PATTERNS } from "#protocol/limits.ts"
import type { Holding } from "./retarget.ts"
import { NOTHING, retarget } from "./retarget.ts"
import type { Claim, Effect, Here, Resolved, Session, Step } from "./session-state.ts"
import { ask, error, reset, send, stay, to } from "./session-state.ts"
import type { Subscriptions } from "./subscriptions.ts"
import { NO_SUBSCRIPTIONS } from "./subscriptions.ts"

export const resolved = (session: Session, input: Resolved, here: Here): Step => {
  if (input.ask !== session.ask) return stay(session)
  if (input.stale) return ask(session, here.head)
  const effects: Array<Effect> = []
  let { claim, holding, subscriptions } = session
  let { position } = here
  if (session.resume !== null) {
    const judged = judge(session.resume, subscriptions, input)
    if (typeof judged === "string") {
      effects.push(reset(judged), { type: "place", position: 0 })
      position = 0
    } else holding = judged
  }
  let target = tooMany(subscriptions.asked, input.allowed) ? null : restrict(subscriptions.asked, input.allowed)
  if (target === null || target.length > VIEW_PATTERNS) {
    effects.push(error("too_large", "the subscriptions come to too many patterns and were dropped", "ask for scopes, or for the whole type"))
    subscriptions = NO_SUBSCRIPTIONS
    target = []
  }
  // Whoever stands at 0 holds nothing, so everything is after its position: nothing is lost, and nothing comes beside the flow.
  const { lost, gained, kept } = position === 0 ? { lost: [], gained: [], kept: target } : retarget(holding, target)
  if (lost.length > 0 || gained.length > 0) {
    const partial = viewToken(normalise([...lost, ...gained]))
    claim = lost.length === 0 ? { ...claim, partial } : { view: viewToken(kept), access: input.at, partial }
    effects.push({ type: "announce", claim }, ...lost.map(revoked))
    holding = { held: lost.length === 0 ? holding.held : kept, partial: gained }
  }
  const next: Session = { ...session, subscriptions, claim, holding, target, targetAt: input.at, resume: null }
  if (gained.length === 0) return settle(next, effects)
  const token = viewToken(gained)
  const after = lost.length === 0 && session.giving?.token === token ? session.giving.after : 0
  return to({ ...next, phase: "giving", giving: { token, after } }, ...effects, { type: "give", patterns: gained, after, upTo: position })
}

/** The whole target is held as of the position. What comes after it is left. */
export const settle = (session: Session, effects: ReadonlyArray<Effect>): Step => {
  const { subscriptions, target, targetAt } = session
  const claim: Claim = { view: viewToken(subscriptions.asked), access: targetAt, partial: null }
  const next: Session = { ...session, phase: "catching-up", giving: null, holding: { held: target, partial: [] }, claim }
  return to(next, ...effects, { type: "catch-up", view: target, upTo: targetAt })
}

const revoked = ({ entity, scope, id }: ViewPattern): Effect =>
  send({
    type: "ACCESS_REVOKED",
    payload: { entityCode: entity, ...(id !== null ? { entityId: id } : scope !== null ? { scope } : {}) },
  })

/** What the cursor's holder holds, or why nobody can tell: then it starts over. */
const judge = (cursor: Cursor, { asked }: Subscriptions, { allowedBefore, first }: Resolved): Holding | string => {
  if (cursor.seq === 0) return NOTHING
  if (first !== null && cursor.seq < first - 1) return "the cursor is older than the history that is kept"
  if (allowedBefore === null) return "what the cursor's holder was allowed to see is no longer known"
  const view = cursor.view === viewToken(asked) ? asked : parseView(cursor.view)
  const partial = cursor.partial === undefined ? [] : parseView(cursor.partial)
  if (view === null || partial === null) return "the cursor's view was too long to spell out, and is not the one subscribed to"
  if (tooMany(view, allowedBefore)) return "the cursor's view is too large"
  return { held: restrict(view, allowedBefore), partial }
}

/** Comparisons that cutting a view down may cost: some hundred milliseconds of everybody's time, at the very most. */
const COMPARISONS = 2_000_000
const tooMany = (asked: ReadonlyArray<ViewPattern>, allowed: ReadonlyArray<Pattern>): boolean => asked.length * allowed.length > COMPARISONS
