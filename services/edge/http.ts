/**
 * The same data for those who cannot hold a socket or only want to look: current state, history, schemas, mutations, changes of access. Bearer tokens, one
 * question to authz a request, nothing remembered. What may not be seen is answered exactly as what is not there.
 */
import { Result, Schema } from "effect"
import { randomUUID } from "node:crypto"
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http"
import { observeAnswer } from "#observe/http.ts"
import { LogError } from "#nats/log.ts"
import type { ErrorCode } from "#protocol/down.ts"
import { FRAME_UP_BYTES, HTTP_AT_ONCE, MUTATIONS_PER_FRAME, PAGE_ROWS, PAGE_ROWS_DEFAULT } from "#protocol/limits.ts"
import { Mutation } from "#protocol/mutation.ts"
import { RequestError } from "#protocol/request.ts"
import { isAddressText } from "#protocol/subject.ts"
import { changeAccess } from "./access-change.ts"
import type { Access } from "./access.ts"
import type { Author } from "./command.ts"
import type { Edge } from "./edge.ts"
import { explain } from "./explain.ts"
import type { Origins } from "./origins.ts"
import { isAllowed } from "./origins.ts"
import { peerOf } from "./peer.ts"
import { asRequestError } from "./requests.ts"
import { history, page, row } from "./rows.ts"
import { SIGNED_OUT, whose } from "./whose.ts"
import type { Services, World } from "./world.ts"

export interface HttpApi {
  readonly edge: Edge
  readonly services: Services
  readonly origins: Origins
  readonly demo: boolean
  /** Why the edge cannot serve now; empty where it can. */
  readonly ready: () => ReadonlyArray<string>
}

interface Answer {
  readonly status: number
  /** JSON text. */
  readonly body: string
  readonly retryAfter?: number
}

const STATUS: Readonly<Record<ErrorCode, number>> = {
  malformed: 400, unknown_type: 400, unauthorised: 401, signed_out: 401, not_found: 404, too_large: 413, too_many: 429, unavailable: 503, internal: 500,
}

const ok = (body: string): Answer => ({ status: 200, body })
const failed = ({ code, message, hint, retryAfter }: RequestError): Answer => ({
  status: STATUS[code],
  body: JSON.stringify({ code, message, hint, ...(retryAfter === undefined ? {} : { retryAfter }) }),
  ...(retryAfter === undefined ? {} : { retryAfter }),
})
const fail = (code: ErrorCode, message: string, hint: string, retryAfter?: number): RequestError =>
  new RequestError({ code, message, hint, ...(retryAfter === undefined ? {} : { retryAfter }) })
const nothing = () => fail("not_found", "there is nothing here that you may see", "GET /v1/schema lists the entities")

export const httpApi = (api: HttpApi): RequestListener => {
  let underway = 0
  return (request, response) => {
    const url = URL.parse(request.url ?? "/", "http://edge")
    if (url === null) return send(response, failed(nothing()))
    const observed = request.method === "GET" || request.method === "HEAD" ? observeAnswer(url.pathname, "edge", api.ready) : null
    if (observed !== null) {
      response.writeHead(observed.status, { "content-type": observed.contentType, "cache-control": "no-store" })
      return void response.end(request.method === "HEAD" ? undefined : observed.body)
    }
    if (!admit(api.origins, request, response)) return
    if (underway >= HTTP_AT_ONCE) return send(response, failed(fail("unavailable", "too many requests at once", "ask again", 1)))
    underway += 1
    answer(api, request, url)
      .catch((cause: unknown) => {
        if (!(cause instanceof RequestError) && !(cause instanceof LogError)) api.services.defect(cause)
        return failed(cause instanceof LogError ? fail("unavailable", cause.message, cause.hint, 1) : asRequestError(cause))
      })
      .then((reply) => send(response, reply))
      .finally(() => (underway -= 1))
  }
}

/** CORS: answers a preflight and refuses a page that may not ask; false where the request has been answered. */
const admit = (origins: Origins, request: IncomingMessage, response: ServerResponse): boolean => {
  const { origin, host } = request.headers
  response.setHeader("vary", "origin")
  if (!isAllowed(origins, origin, host)) {
    response.writeHead(403, JSON_HEADERS).end(JSON.stringify({ code: "unauthorised", message: "pages of this origin may not ask", hint: "TIDELINE_ORIGINS names those that may" }))
    return false
  }
  if (origin !== undefined) response.setHeader("access-control-allow-origin", origin)
  if (request.method !== "OPTIONS") return true
  response
    .writeHead(204, { "access-control-allow-methods": "GET, POST", "access-control-allow-headers": "authorization, content-type", "access-control-max-age": "600" })
    .end()
  return false
}

const JSON_HEADERS = { "content-type": "application/json; charset=utf-8", "cache-control": "no-store", "x-content-type-options": "nosniff" }

const send = (response: ServerResponse, { status, body, retryAfter }: Answer): void => {
  if (response.destroyed) return
  response.writeHead(status, { ...JSON_HEADERS, ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }) })
  response.end(`${body}\n`)
}

const answer = async (api: HttpApi, request: IncomingMessage, url: URL): Promise<Answer> => {
  const parts = pathParts(url.pathname)
  if (parts === null || parts[0] !== "v1" || parts.length > 4) throw nothing()
  const [, first = "", second, third] = parts
  if (request.method === "POST" && second === "token" && first === "demo") return demoToken(api, request)
  const { world } = api.edge
  if (world === null) throw fail("unavailable", api.ready().join("; "), "ask again, or another edge", 1)
  const { user, isOut } = await signedIn(world, request)
  if (request.method === "POST" && first === "mutations" && second === undefined) return mutations(world, user, isOut, request)
  if (request.method === "POST" && first === "access" && second === undefined) {
    const body = await jsonBody(request)
    if (isOut()) throw SIGNED_OUT
    return ok(JSON.stringify(await changeAccess(world.requests, body, authorOf(user, "/v1/access", request))))
  }
  if (request.method !== "GET") throw fail("malformed", `${request.method} is not served here`, "GET, or POST /v1/mutations or /v1/access")
  if (first === "schema" && second === undefined) return ok(schemas(world))
  if (first === "access" && second === undefined) return ok(await explain(world, user, url.searchParams))
  if (!world.entities.isServed(first)) throw world.knowsEntities() ? nothing() : fail("unavailable", "the log has not said yet which tables are tracked", "ask again", 1)
  const access = await world.accesses.resolve(user, world.ring.head)
  if (second === undefined) return rows(world, access, first, url.searchParams)
  if (!isAddressText(second)) throw nothing()
  if (third === undefined) return found(await row(world, access, first, second))
  if (third !== "history") throw nothing()
  const versions = await history(world, access, first, second, PAGE_ROWS)
  return found(versions === null || versions.length === 0 ? null : `{"items":[${versions.join(",")}]}`)
}

const found = (body: string | null): Answer => {
  if (body === null) throw nothing()
  return ok(body)
}

const pathParts = (path: string): ReadonlyArray<string> | null => {
  try {
    return path.split("/").slice(1).map(decodeURIComponent)
  } catch {
    return null
  }
}

interface Caller {
  readonly user: string
  /** Whether the token was ended since. */
  readonly isOut: () => boolean
}

const signedIn = async (world: World, request: IncomingMessage): Promise<Caller> => {
  const match = /^Bearer +([^ ]+) *$/i.exec(request.headers.authorization ?? "")
  if (match === null) throw fail("unauthorised", "there is no bearer token", "Authorization: Bearer <token>")
  return new Promise((good, failed) =>
    whose(world, match[1]!, (who, at) => good({ user: who.userId, isOut: () => world.signOuts.since(at, who) === true }), failed),
  )
}

const rows = async (world: World, access: Access, entity: string, query: URLSearchParams): Promise<Answer> => {
  const scope = query.get("scope")
  if (scope !== null && !isAddressText(scope)) throw fail("malformed", "scope cannot be a scope", "well-formed text")
  const limit = wholeNumber(query, "limit", PAGE_ROWS_DEFAULT, 1, PAGE_ROWS)
  const after = wholeNumber(query, "after", 0, 0, Number.MAX_SAFE_INTEGER)
  const { items, next } = await page(world, access, { entity, scope, id: null }, after, limit)
  return ok(`{"items":[${items.join(",")}],"next":${next}}`)
}

const wholeNumber = (query: URLSearchParams, name: string, fallback: number, least: number, most: number): number => {
  const text = query.get(name)
  if (text === null) return fallback
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw fail("malformed", `${name} is not a whole number from ${least} to ${most}`, "see protocol/README.md")
}

const schemas = (world: World): string =>
  JSON.stringify({
    entities: Object.fromEntries(
      world.entities.all().map(({ entity, key_columns, scope_column, json_schema }) => [entity, { keyColumns: key_columns, scopeColumn: scope_column, schema: json_schema }]),
    ),
  })

const decodeMutations = Schema.decodeUnknownResult(
  Schema.Struct({ mutations: Schema.Array(Mutation).check(Schema.isMinLength(1), Schema.isMaxLength(MUTATIONS_PER_FRAME)) }),
)

const mutations = async (world: World, user: string, isOut: () => boolean, request: IncomingMessage): Promise<Answer> => {
  const decoded = decodeMutations(await jsonBody(request))
  if (Result.isFailure(decoded)) throw fail("malformed", decoded.failure.message.replaceAll(/\s+/g, " ").slice(0, 200), '{"mutations": […]}, as MUTATE')
  const { results, error } = await world.commands.apply(decoded.success.mutations, authorOf(user, "/v1/mutations", request), () => !isOut())
  if (results.length < decoded.success.mutations.length && isOut()) throw SIGNED_OUT
  if (error !== null && results.length === 0) throw error
  // Those without a result were not tried: the client sends them again.
  return ok(JSON.stringify({ results }))
}

const authorOf = (user: string, endpoint: string, request: IncomingMessage): Author => ({
  user,
  requestId: randomUUID(),
  endpoint,
  method: "POST",
  ...peerOf(request),
  trace: traceOf(request),
})

const traceOf = ({ headers }: IncomingMessage): string | null => {
  const { traceparent } = headers
  return typeof traceparent === "string" && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent) ? traceparent : null
}

const decodeDemo = Schema.decodeUnknownResult(Schema.Struct({ user: Schema.String }))

const demoToken = async ({ demo, services }: HttpApi, request: IncomingMessage): Promise<Answer> => {
  if (!demo) throw nothing()
  const decoded = decodeDemo(await jsonBody(request))
  if (Result.isFailure(decoded)) throw fail("malformed", "no user", '{"user": "ada"}')
  return ok(JSON.stringify(await services.requests.demo(decoded.success.user)))
}

const jsonBody = async (request: IncomingMessage): Promise<unknown> => {
  const chunks: Array<Buffer> = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > FRAME_UP_BYTES) throw fail("too_large", `more than ${FRAME_UP_BYTES} bytes`, "send less at a time")
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown
  } catch {
    throw fail("malformed", "the body is not JSON", "application/json")
  }
}
