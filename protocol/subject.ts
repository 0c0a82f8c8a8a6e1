/**
 * The subject grammar, the only place that knows dots.
 *
 *     chg.<scope>.<entity>.<id>     a change of one entity          (streams CHANGES and STATE)
 *     cmd.<scope>.<entity>.<id>     a command to one entity         (request and reply)
 *     cmd._acl._access.<user>       a user's change of access       (request and reply)
 *
 * Any text is one safe, reversible token: letters, digits and `- : @ , + / ~ =` stand for themselves, and so does `_`
 * anywhere but first; every other UTF-8 byte is `%XX`. Empty text is `%`. A token that begins with `_` is therefore never
 * a user's text: `_` alone means "no scope", and `_acl`, `_schema`, `_epoch` are the log's own scopes.
 */
import { ENTITY_CODE_CHARS, TOKEN_BYTES } from "./limits.ts"

/** The address of an entity. `scope` is null where its table has none. */
export interface Address {
  readonly scope: string | null
  readonly entity: string
  readonly id: string
}

/** The log's own entities and the scope token each travels under. Their codes begin with `_`, which no tracked table's may. */
export const SYSTEM_SCOPES = {
  /** A grant: see `acl.ts`. */
  _grant: "_acl",
  /** A role membership: see `acl.ts`. */
  _member: "_acl",
  /** A sign-out: see `sign-out.ts`. */
  _sign_out: "_acl",
  /** A tracked table: see `schema.ts`. */
  _entity: "_schema",
  /** A new numbering of the stream: see `epoch.ts`. */
  _epoch: "_epoch",
  /** In the place of a change that fits no message: see services/outbox-relay/set-aside.ts. */
  _aside: "_aside",
} as const
export type SystemEntity = keyof typeof SYSTEM_SCOPES

export const CHANGE_PREFIX = "chg"
export const COMMAND_PREFIX = "cmd"
/** Every subject of the streams. */
export const ALL_CHANGES = "chg.*.*.*"
export const ALL_COMMANDS = "cmd.*.*.*"
const NO_SCOPE = "_"

const entityCode = new RegExp(`^[a-z][a-z0-9_]{0,${ENTITY_CODE_CHARS - 1}}$`)

/** Whether `code` can be a tracked table's entity code. */
export const isEntityCode = (code: string): boolean => entityCode.test(code)
export const isSystemEntity = (code: string): code is SystemEntity => Object.hasOwn(SYSTEM_SCOPES, code)
/** Whether it is one of the log's own that clients may ask for as for any entity, and see if it was granted to them by name. */
export const isAccessEntity = (code: string): boolean => isSystemEntity(code) && SYSTEM_SCOPES[code] === "_acl"

const plain = /^[A-Za-z0-9\-:@,+/~=][A-Za-z0-9\-:@,+/~=_]*$/
const unsafe = /[^A-Za-z0-9\-:@,+/~=_]/gu
const utf8 = new TextEncoder()
const hex = (byte: number): string => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`

/** One token for any well-formed text. */
export const encodeToken = (text: string): string => {
  if (plain.test(text)) return text
  if (text === "") return "%"
  const escaped = text.replace(unsafe, (char) => Array.from(utf8.encode(char), hex).join(""))
  return escaped.startsWith("_") ? `%5F${escaped.slice(1)}` : escaped
}

/** The text behind a token, or null where the token is not one that `encodeToken` makes. */
export const decodeToken = (token: string): string | null => {
  if (plain.test(token)) return token
  if (token === "%") return ""
  let text: string
  try {
    text = decodeURIComponent(token)
  } catch {
    return null
  }
  return encodeToken(text) === token ? text : null
}

/** Whether `text` may be an id or a scope: well-formed, and short enough once encoded. */
export const isAddressText = (text: string): boolean =>
  text.length <= TOKEN_BYTES && text.isWellFormed() && !text.includes("\0") && encodeToken(text).length <= TOKEN_BYTES

const scopeToken = (scope: string | null, entity: string): string =>
  isSystemEntity(entity) ? SYSTEM_SCOPES[entity] : scope === null ? NO_SCOPE : encodeToken(scope)

export const changeSubject = (at: Address): string =>
  `${CHANGE_PREFIX}.${scopeToken(at.scope, at.entity)}.${at.entity}.${encodeToken(at.id)}`

export const commandSubject = (at: Address): string =>
  `${COMMAND_PREFIX}.${scopeToken(at.scope, at.entity)}.${at.entity}.${encodeToken(at.id)}`

/** Where a user's changes of access go (access-change.ts): one lane a user. */
export const accessSubject = (user: string): string => `${COMMAND_PREFIX}._acl._access.${encodeToken(user)}`

/** The address of a change or command subject, or null where it is neither. */
export const parseSubject = (subject: string): Address | null => {
  const tokens = subject.split(".")
  const [prefix, scope, entity, id] = tokens
  if (tokens.length !== 4 || (prefix !== CHANGE_PREFIX && prefix !== COMMAND_PREFIX)) return null
  const decodedId = decodeToken(id!)
  if (decodedId === null) return null
  if (isSystemEntity(entity!)) return SYSTEM_SCOPES[entity] === scope ? { scope: null, entity, id: decodedId } : null
  if (!isEntityCode(entity!)) return null
  if (scope === NO_SCOPE) return { scope: null, entity: entity!, id: decodedId }
  const decodedScope = decodeToken(scope!)
  return decodedScope === null ? null : { scope: decodedScope, entity: entity!, id: decodedId }
}

/** A stream filter; null is any. A system entity's scope is its own. */
export const filterSubject = (pattern: { scope: string | null; entity: string | null; id: string | null }): string => {
  const { scope, entity, id } = pattern
  const scopePart = entity !== null && isSystemEntity(entity) ? SYSTEM_SCOPES[entity] : scope === null ? "*" : encodeToken(scope)
  return `${CHANGE_PREFIX}.${scopePart}.${entity ?? "*"}.${id === null ? "*" : encodeToken(id)}`
}
