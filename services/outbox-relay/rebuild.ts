/**
 * Brings the log into line with the tables: after a disaster (epoch.ts says when), or because somebody asked (`npx tideline rebuild`, `backfill`).
 * Beside the loop, on a connection of its own: what changes meanwhile is published all the time. db/functions/07_backfill.sql has the
 * argument why neither gets in the other's way.
 *
 * Steps and how far they are stand in `tide.rebuild`, in the transaction of each page, so whoever has the lease goes on where the last one
 * stopped. A page waits until the one before is published: it can not outrun the relay.
 */
import { createHash } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"
import postgres from "postgres"
import type { Sql } from "#db/postgres.ts"
import type { Nats } from "#nats/connection.ts"
import { newestEach, nextEach } from "#nats/direct.ts"
import type { LogMessage } from "#nats/log.ts"
import { mirrorReached, STATE } from "#nats/streams.ts"
import { BACKFILL_PAGE, BACKFILL_RATE, REBUILD_BYTES, REBUILD_WAIT_MS } from "#protocol/limits.ts"
import { ALL_CHANGES, CHANGE_PREFIX, changeSubject } from "#protocol/subject.ts"
import type { Bell } from "./bell.ts"
import * as metrics from "./metrics.ts"
import type { Progress } from "./progress.ts"
import type { Status } from "./status.ts"

export interface Rebuild {
  readonly nats: Nats
  /** A connection that nothing else uses. */
  readonly sql: Sql
  /** Rung when there may be something to do. */
  readonly bell: Bell
  readonly progress: Progress
  readonly status: Status
  readonly signal: AbortSignal
}

/** A row of tide.rebuild. */
interface Step {
  readonly place: string
  readonly kind: "gone" | "rows"
  readonly what: string
  readonly reason: string
  readonly rate: number | null
  readonly after: number
  readonly upTo: number | null
  readonly lookedAt: number
}

/** Rows looked at, and the transaction whose events must be published before the next page; null where there is none. */
interface Page {
  readonly rows: number
  readonly xid: bigint | null
}

/** Works whenever there is something to do, until it is stopped. What fails is tried again. */
export const rebuild = async (on: Rebuild): Promise<void> => {
  const { sql, bell, progress, status, signal } = on
  signal.addEventListener("abort", bell.ring)
  let step: Step | null = null
  while (!signal.aborted) {
    try {
      const next: Step | null = await nextStep(sql)
      metrics.rebuilding.set(next === null ? 0 : 1)
      if (next === null) {
        if (step !== null) await status.note("the log is in line with the tables")
        step = null
        await bell.wait(NOTHING_TO_DO_MS)
        continue
      }
      if (step === null) await status.note(`bringing the log into line with the tables: ${next.reason}`)
      // Every DELETE and READ so far must be in STATE before rows are compared with it.
      if (next.place !== step?.place) await follows(on)
      step = next
      const began = performance.now()
      const page = await (step.kind === "gone" ? gonePage(on, step) : rowsPage(on, step))
      if (page.xid !== null) await progress.reaches(page.xid, signal)
      const due = (page.rows / (step.rate ?? BACKFILL_RATE)) * 1_000 - (performance.now() - began)
      if (due > 0) await pause(due, undefined, { signal })
    } catch (cause) {
      if (signal.aborted) return
      if (step !== null && cause instanceof postgres.PostgresError && !TRANSIENT.test(cause.code)) {
        await status.note(`the rebuild leaves out ${step.kind} ${step.what}: ${cause.message}`)
        await sql`select tide.rebuild_failed(${step.place}, ${cause.message})`.catch(() => {})
      } else await bell.wait(REBUILD_WAIT_MS)
    }
  }
}

/** A step that somebody asked for without a notification that arrived. */
const NOTHING_TO_DO_MS = 600_000
/** Somebody else is at it, a lock, a server that goes or comes, no room: trying again helps. */
const TRANSIENT = /^(40|53|55|57|58|08)/

const nextStep = async (sql: Sql): Promise<Step | null> => {
  const [row] = await sql<Array<Step>>`
    select place, kind, what, reason, rate, after_seq::float8 as after, upto_seq::float8 as "upTo", looked_at::float8 as "lookedAt"
    from tide.rebuild where done_at is null order by place limit 1`
  return row ?? null
}

/** Waits until everything that is committed is published, and STATE has it. */
const follows = async ({ nats, sql, progress, signal }: Rebuild): Promise<void> => {
  const [now] = await sql<Array<{ xmax: string }>>`select pg_snapshot_xmax(pg_current_snapshot())::text as xmax, pg_notify('tide_wake', '')`
  await progress.looksBeyond(BigInt(now!.xmax), signal)
  while (!(await mirrorReached(nats, progress.acked(), MIRROR_MS))) signal.throwIfAborted()
}
const MIRROR_MS = 500

/** A page of a table: rows that STATE does not have as they are become READ events. (Lists come as JSON: the driver knows no null in an array.) */
const rowsPage = async ({ nats, sql }: Rebuild, step: Step): Promise<Page> => {
  const [page] = await sql<Array<{ last: Array<string> | null; ids: ReadonlyArray<string> | null; scopes: ReadonlyArray<string | null> | null }>>`
    select last_key as last, to_json(ids) as ids, to_json(scopes) as scopes from tide.rebuild_read(${step.place}, ${BACKFILL_PAGE})`
  const { last, ids, scopes } = page!
  const known: Array<string> = []
  const subjects = (ids ?? []).map((id, i) => changeSubject({ scope: scopes![i]!, entity: step.what, id }))
  if (subjects.length > 0) await newestEach(nats, STATE, subjects, REBUILD_BYTES, (message) => void (message.body !== "" && known.push(digest(message))))
  const [wrote] = await sql<Array<{ written: number; xid: string }>>`
    select written::float8 as written, xid from tide.rebuild_rows(${step.place}, ${step.lookedAt}, ${last}::text[], ${subjects.length}, ${known}::text[])`
  return { rows: subjects.length, xid: wrote!.written > 0 ? BigInt(wrote!.xid) : null }
}

/** As tide.digest. */
const digest = ({ address, body }: LogMessage): string => createHash("sha256").update(`${address.id}\n${address.scope ?? "\n"}\n${body}`).digest("base64")

/** A page of STATE: what lives there and in no table becomes a DELETE event. */
const gonePage = async ({ nats, sql }: Rebuild, step: Step): Promise<Page> => {
  const filter = step.what === "*" ? ALL_CHANGES : `${CHANGE_PREFIX}.${step.what}.*.*`
  const entities: Array<string> = []
  const scopes: Array<string | null> = []
  const ids: Array<string> = []
  const upTo = step.upTo ?? (await nats.jetstream.streams.info(STATE)).state.last_seq
  const last = await nextEach(nats, STATE, filter, step.after, { batch: BACKFILL_PAGE, max_bytes: REBUILD_BYTES }, ({ address, body }) => {
    // These two are no rows.
    if (body === "" || address.entity === "_epoch" || address.entity === "_aside") return
    entities.push(address.entity)
    scopes.push(address.scope)
    ids.push(address.id)
  })
  const [wrote] = await sql<Array<{ written: number; xid: string }>>`
    select written::float8 as written, xid
    from tide.rebuild_gone(${step.place}, ${step.lookedAt}, ${last}, ${upTo}, ${entities}::text[], ${scopes}::text[], ${ids}::text[])`
  return { rows: ids.length, xid: wrote!.written > 0 ? BigInt(wrote!.xid) : null }
}
