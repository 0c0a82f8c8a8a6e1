/** Who granted what, and when: read from STATE for the rows of one answer, as the fold does not keep it. For explain.ts. */
import { Result, Schema } from "effect"
import { RequestError } from "#protocol/request.ts"
import type { Log } from "#nats/log.ts"
import { LogError } from "#nats/log.ts"

/** The fold's key is `_grant/<id>`. */
export const idOf = (key: string): string => key.slice(key.indexOf("/") + 1)

export interface Origin {
  readonly grantedBy: string | null
  readonly grantedAt: string | null
}
export const NO_ORIGIN: Origin = { grantedBy: null, grantedAt: null }

const decodeOrigin = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Struct({ granted_by: Schema.NullOr(Schema.String), granted_at: Schema.String })))

/** Who granted these rows and when, as they were at `at`; of one that changed since nothing is said. */
export const originsOf = async (log: Log, at: number, keys: ReadonlySet<string>): Promise<ReadonlyMap<string, Origin>> => {
  const origins = new Map<string, Origin>()
  if (keys.size === 0) return origins
  try {
    await log.readState({
      patterns: Array.from(keys, (key) => ({ scope: null, entity: "_grant", id: idOf(key) })),
      after: 0,
      atLeast: at,
      page: (messages) => {
        for (const { seq, address, body } of messages) {
          if (seq > at) continue
          const row = Result.getOrNull(decodeOrigin(body))
          if (row !== null) origins.set(`_grant/${address.id}`, { grantedBy: row.granted_by, grantedAt: row.granted_at })
        }
      },
    })
  } catch (cause) {
    if (!(cause instanceof LogError)) throw cause
    throw new RequestError({ code: "unavailable", message: cause.message, hint: cause.hint, retryAfter: 1 })
  }
  return origins
}
