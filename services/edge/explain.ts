/**
 * `GET /v1/access`: why somebody may do something. The edge turns the query into one question to authz (protocol/explain.ts), as of its own
 * position, so that what a client has just been told is in the answer; authz decides what the asker may know.
 */
import type { ExplainRequest } from "#protocol/explain.ts"
import { EVERYONE, rolePrincipal, userPrincipal } from "#protocol/acl.ts"
import { EXPLAIN_PAGE, EXPLAIN_PAGE_DEFAULT } from "#protocol/limits.ts"
import { RequestError } from "#protocol/request.ts"
import { isAccessEntity, isAddressText } from "#protocol/subject.ts"
import type { World } from "./world.ts"

const malformed = (message: string): RequestError =>
  new RequestError({ code: "malformed", message, hint: "user=, role= or everyone=; scope=, entity=, id=; at least one of them" })

/** The answer's JSON. */
export const explain = async (world: World, asker: string, query: URLSearchParams): Promise<string> => {
  const text = (name: string): string | null => {
    const value = query.get(name)
    if (value !== null && !isAddressText(value)) throw malformed(`${name} cannot be one`)
    return value
  }
  const named = [...principals(text("user"), text("role"), query.has("everyone"))]
  if (named.length > 1) throw malformed("more than one of user, role and everyone")
  const [scope, entity, id] = [text("scope"), text("entity"), text("id")]
  if (entity !== null && !world.entities.isServed(entity)) throw malformed(`${JSON.stringify(entity.slice(0, 64))} is not a tracked entity`)
  if (id !== null && entity === null) throw malformed("an id without its entity")
  const anywhere = scope === null && entity === null
  if (named.length === 0 && anywhere) throw malformed("neither whose access nor on what")
  const after = query.get("after")
  const request: ExplainRequest = {
    asker,
    of: named[0] ?? null,
    on: anywhere ? null : { scope, entity, id },
    exact: id !== null && (scope !== null || isUnscoped(world, entity!)),
    at: world.ring.head,
    limit: limitOf(query.get("limit")),
    ...(after === null ? {} : { after }),
  }
  return JSON.stringify(await world.requests.explain(request))
}

function* principals(user: string | null, role: string | null, everyone: boolean): Iterable<string> {
  if (user !== null) yield userPrincipal(user)
  if (role !== null) yield rolePrincipal(role)
  if (everyone) yield EVERYONE
}

const isUnscoped = ({ entities }: World, entity: string): boolean => isAccessEntity(entity) || entities.get(entity)?.scope_column === null

const limitOf = (text: string | null): number => {
  if (text === null) return EXPLAIN_PAGE_DEFAULT
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > EXPLAIN_PAGE) throw malformed(`limit is not a whole number from 1 to ${EXPLAIN_PAGE}`)
  return limit
}
