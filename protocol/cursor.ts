/**
 * A cursor says what its holder holds: everything in `view`, as of `seq` of `epoch`. The edge makes and reads it; to a client it is
 * opaque. It names the patterns asked for; what was allowed of them at `seq` the log knows. It is never trusted for
 * access: a forged one can only make its owner miss things.
 *
 *     1.<epoch>.<seq>[-<access>].<view>[*<partial>]       numbers in base 36
 *
 * A view is base64url of JSON, or `~` and a digest where that would be too long. During a catch-up what was allowed was decided at a later
 * sequence than the one reached: `access` names it. `partial` names what its holder may hold some of, in no certain state, because it was
 * being given or being taken away: it is forgotten or given whole the next time. Where that would be too long it is `@` and the sequences as of which
 * the view was changed since `access`: the log knows what each of them took and gave.
 */
import { CURSOR_CHANGES, CURSOR_VIEW_BYTES, SUBSCRIPTIONS, SUBSCRIPTION_IDS } from "./limits.ts"
import type { ViewPattern } from "./grant.ts"
import { normalise } from "./grant.ts"
import { isAccessEntity, isAddressText, isEntityCode } from "./subject.ts"

export interface Cursor {
  readonly epoch: string
  readonly seq: number
  /** The view as a token: compare it with `viewToken(asked)`; `parseView` spells it out where it is not a digest. */
  readonly view: string
  /** The sequence as of which access was decided, where that is not `seq`. */
  readonly access?: number
  readonly partial?: Partly
}

/** What of a cursor's view may be held in part, or beside it: a view token, or the sequences as of which the view was changed (CURSOR_CHANGES at most). */
export type Partly = string | ReadonlyArray<number>

/** Entity code, then scope or null, then id or null: the smallest JSON of a pattern. */
type Spelled = readonly [entity: string, scope: string | null, id: string | null]

/** The token for a set of patterns asked for. Equal sets have equal tokens. */
export const viewToken = (asked: ReadonlyArray<ViewPattern>): string => {
  const known = tokens.get(asked)
  if (known !== undefined) return known
  const bytes = new TextEncoder().encode(JSON.stringify(normalise(asked).map((p): Spelled => [p.entity, p.scope, p.id])))
  const token = Math.ceil((bytes.length * 4) / 3) <= CURSOR_VIEW_BYTES ? base64url(bytes) : `~${digest(bytes)}`
  tokens.set(asked, token)
  return token
}

/** Patterns are never changed, and a connection asks for the token of the same ones with every change of its view. */
const tokens = new WeakMap<ReadonlyArray<ViewPattern>, string>()

/** The patterns of a view token, or null where it is a digest or not a view. */
export const parseView = (token: string): ReadonlyArray<ViewPattern> | null => {
  if (token.startsWith("~")) return null
  let spelled: unknown
  try {
    spelled = JSON.parse(fromBase64url(token))
  } catch {
    return null
  }
  if (!Array.isArray(spelled) || spelled.length > SUBSCRIPTIONS * SUBSCRIPTION_IDS) return null
  const patterns: Array<ViewPattern> = []
  for (const item of spelled as ReadonlyArray<unknown>) {
    if (!Array.isArray(item) || item.length !== 3) return null
    const [entity, scope, id] = item as ReadonlyArray<unknown>
    if (typeof entity !== "string" || !(isEntityCode(entity) || isAccessEntity(entity)) || !isPart(scope) || !isPart(id)) return null
    patterns.push({ entity, scope, id })
  }
  return patterns
}

const isPart = (x: unknown): x is string | null => x === null || (typeof x === "string" && isAddressText(x))

export const formatCursor = ({ epoch, seq, access, view, partial }: Cursor): string =>
  `1.${epoch}.${seq.toString(36)}${access === undefined ? "" : `-${access.toString(36)}`}.${view}${partial === undefined ? "" : `*${partlyText(partial)}`}`

const partlyText = (partial: Partly): string => (typeof partial === "string" ? partial : `@${partial.map((seq) => seq.toString(36)).join("-")}`)

const shape =
  /^1\.([0-9A-Za-z-]{1,64})\.([0-9a-z]{1,11})(?:-([0-9a-z]{1,11}))?\.(~[0-9a-f]{16}|[0-9A-Za-z_-]*)(?:\*(~[0-9a-f]{16}|@[0-9a-z-]{1,64}|[0-9A-Za-z_-]*))?$/

/** The cursor that `text` spells, or null where it is not one. */
export const parseCursor = (text: string): Cursor | null => {
  const match = shape.exec(text)
  if (match === null) return null
  const [, epoch, seqText, accessText, view, partial] = match
  const seq = Number.parseInt(seqText!, 36)
  const access = accessText === undefined ? seq : Number.parseInt(accessText, 36)
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(access)) return null
  const partly = partial?.startsWith("@") === true ? sequences(partial.slice(1)) : partial
  if (partly === null) return null
  return {
    epoch: epoch!,
    seq,
    view: view!,
    ...(accessText === undefined ? {} : { access }),
    ...(partly === undefined ? {} : { partial: partly }),
  }
}

const sequences = (text: string): ReadonlyArray<number> | null => {
  const all = text.split("-").map((one) => (/^[0-9a-z]{1,11}$/.test(one) ? Number.parseInt(one, 36) : Number.NaN))
  return all.length <= CURSOR_CHANGES && all.every(Number.isSafeInteger) ? all : null
}

const base64url = (bytes: Uint8Array): string => {
  let binary = ""
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
}

const fromBase64url = (text: string): string => {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (c) => c.charCodeAt(0)))
}

/** FNV-1a, 64 bits, in two halves of 32: tells views apart; nothing rests on it being hard to forge. */
const digest = (bytes: Uint8Array): string => {
  let high = 0xcbf29ce4
  let low = 0x84222325
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0
    // Times 2^40 + 0x1b3.
    const product = low * 0x1b3
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0
    low = product >>> 0
  }
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0")
}
