/**
 * Authz has answered: what must be told, given and caught up. The step that every change of a view goes through, whether it was asked for,
 * granted, taken away or brought along in a cursor.
 */
import type { Cursor, Partly } from "#protocol/cursor.ts"
import { parseView, viewToken } from "#protocol/cursor.ts"
import type { ViewPattern } from "#protocol/grant.ts"
import { normalise } from "#protocol/grant.ts"
import { CURSOR_CHANGES, VIEW_PATTERNS } from "#protocol/limits.ts"
import type { Holding, Retarget } from "./retarget.ts"
import { NOTHING, retarget } from "./retarget.ts"
import type { Claim, Effect, Here, Resolved, Session, Step, Unsure } from "./session-state.ts"
import { ask, error, reset, send, stay, SURE, to } from "./session-state.ts"
import type { Subscriptions } from "./subscriptions.ts"
import { NO_SUBSCRIPTIONS } from "./subscriptions.ts"

export const resolved = (session: Session, input: Resolved, here: Here): Step => {
  if (input.ask !== session.ask) return stay(session)
  if (input.stale) return ask(session, here.head)
  const effects: Array<Effect> = []
  let { claim, holding, subscriptions, unsure } = session
  let { position } = here
  if (session.resume !== null) {
    const judged = judge(session.resume, subscriptions, input)
    if (typeof judged === "string") {
      effects.push(reset(judged), { type: "place", position: 0 })
      position = 0
    } else ({ holding, unsure } = judged)
  }
  let target = input.allowed.cut(subscriptions.asked, VIEW_PATTERNS)
  if (target === null) {
    effects.push(error("too_large", "the subscriptions come to too many patterns and were dropped", "ask for scopes, or for the whole type"))
    subscriptions = NO_SUBSCRIPTIONS
    target = []
  }
  // Whoever stands at 0 holds nothing, so everything is after its position: nothing is lost, and nothing comes beside the flow.
  const { lost, gained, kept } = position === 0 ? { lost: [], gained: [], kept: target } : retarget(holding, target)
  if (lost.length > 0 || gained.length > 0) {
    unsure = {
      patterns: normalise([...unsure.patterns, ...lost, ...gained]),
      changes: unsure.changes !== null && claim.view === viewToken(subscriptions.asked) ? [...unsure.changes, input.at] : null,
    }
    claim = { ...claim, partial: partly(unsure) }
    effects.push({ type: "announce", claim }, ...lost.map(revoked))
    holding = after(holding, { lost, gained, kept })
  }
  const next: Session = { ...session, subscriptions, claim, holding, unsure, target, targetAt: input.at, resume: null }
  if (gained.length === 0) return settle(next, effects)
  const token = viewToken(gained)
  const from = lost.length === 0 && session.giving?.token === token ? session.giving.after : 0
  return to({ ...next, phase: "giving", giving: { token, after: from } }, ...effects, { type: "give", patterns: gained, after: from, upTo: position })
}

/** The whole target is held as of the position. What comes after it is left. */
export const settle = (session: Session, effects: ReadonlyArray<Effect>): Step => {
  const { subscriptions, target, targetAt } = session
  const claim: Claim = { view: viewToken(subscriptions.asked), access: targetAt, partial: null }
  const next: Session = { ...session, phase: "catching-up", giving: null, holding: { held: target, partial: [] }, unsure: SURE, claim }
  return to(next, ...effects, { type: "catch-up", view: target, upTo: targetAt })
}

/** What is held once it was told what is lost, and before it was given what is gained. */
const after = (holding: Holding, { lost, gained, kept }: Retarget): Holding => ({ held: lost.length === 0 ? holding.held : kept, partial: gained })

/** As a cursor says it: spelled out where that is short, else by the changes of access that it came from, where it came from nothing else. */
const partly = ({ patterns, changes }: Unsure): Partly => {
  const token = viewToken(patterns)
  return token.startsWith("~") && changes !== null && changes.length <= CURSOR_CHANGES ? changes : token
}

const revoked = ({ entity, scope, id }: ViewPattern): Effect =>
  send({
    type: "ACCESS_REVOKED",
    payload: { entityCode: entity, ...(id !== null ? { entityId: id } : scope !== null ? { scope } : {}) },
  })

/** What the cursor's holder holds, or why nobody can tell: then it starts over. */
const judge = (cursor: Cursor, { asked }: Subscriptions, { allowedBefore, first }: Resolved): { readonly holding: Holding; readonly unsure: Unsure } | string => {
  if (cursor.seq === 0) return { holding: NOTHING, unsure: SURE }
  if (first !== null && cursor.seq < first - 1) return "the cursor is older than the history that is kept"
  if (allowedBefore === null) return "what the cursor's holder was allowed to see is no longer known"
  const view = cursor.view === viewToken(asked) ? asked : parseView(cursor.view)
  if (view === null) return "the cursor's view was too long to spell out, and is not the one subscribed to"
  const [held, ...changes] = allowedBefore.map((allowed) => allowed.cut(view, VIEW_PATTERNS))
  if (held === undefined || held === null) return "the cursor's view is too large"
  if (typeof cursor.partial === "object") {
    let holding: Holding = { held, partial: [] }
    const patterns: Array<ViewPattern> = []
    for (const target of changes) {
      if (target === null) return "the cursor's view is too large"
      const change = retarget(holding, target)
      patterns.push(...change.lost, ...change.gained)
      holding = after(holding, change)
    }
    const partial = normalise(patterns)
    return { holding: { held, partial }, unsure: { patterns: partial, changes: cursor.partial } }
  }
  const partial = cursor.partial === undefined ? [] : parseView(cursor.partial)
  if (partial === null) return "what the cursor's holder was being given was too long to spell out"
  return { holding: { held, partial }, unsure: { patterns: partial, changes: partial.length === 0 ? [] : null } }
}
