/** Room on both sides as `doctor` sees it, before anything is refused or lost: the outbox, JetStream's store, messages that fit nowhere. */
import type { JetStreamAccountStats, StreamInfo } from "@nats-io/jetstream"
import { Config, Effect } from "effect"
import type { Sql } from "postgres"
import { MESSAGE_BYTES, OUTBOX_WARN_BYTES, ROOM_WARN_PART } from "#protocol/limits.ts"
import { query } from "../connect.ts"
import type { CommandFailed } from "../failure.ts"
import type { OutboxSize } from "../status/outbox.ts"
import { readOutboxSize } from "../status/outbox.ts"
import { readAside } from "../status/aside.ts"
import { size } from "../output.ts"
import type { Finding } from "./finding.ts"
import { ok, problem, warning } from "./finding.ts"

export const outboxFindings = (sql: Sql, published: string | null): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.gen(function* () {
    const warnBytes = yield* Config.Number("TIDELINE_OUTBOX_WARN_BYTES").pipe(Config.withDefault(OUTBOX_WARN_BYTES), Effect.orElseSucceed(() => OUTBOX_WARN_BYTES))
    const aside = yield* readAside(sql)
    const [disk] = yield* query(() => sql<Array<{ bytes: number }>>`select pg_database_size(current_database())::float8 as bytes`)
    return [
      outboxFinding(yield* readOutboxSize(sql, published), warnBytes, disk!.bytes),
      aside.length === 0 ? ok("set aside", "no change is")
        : warning("set aside", `Changes of ${aside.length.toLocaleString("en")} entities fit no message, the first of ${aside[0]!.entity} ${aside[0]!.id.slice(0, 80)}: ${aside[0]!.reason}.`, "npx tideline aside lists them; npx tideline aside retry publishes what is there now."),
    ]
  })

export const outboxFinding = ({ bytes, partitions, bytesADay }: OutboxSize, warnBytes: number, databaseBytes: number): Finding => {
  const days = bytesADay === 0 ? Number.POSITIVE_INFINITY : (warnBytes - bytes) / bytesADay
  const found = `${size(bytes)} in ${partitions} partitions, ${size(bytesADay)} a day, of a database of ${size(databaseBytes)}`
  if (bytes > warnBytes) return warning("outbox size", `${found}: more than TIDELINE_OUTBOX_WARN_BYTES (${size(warnBytes)}).`, "If changes wait, see the relay. Else keep fewer days (TIDELINE_OUTBOX_DAYS of the relay) or raise the bound. How full Postgres' disk is SQL cannot tell: watch it.")
  if (days < 2) return warning("outbox size", `${found}: it reaches TIDELINE_OUTBOX_WARN_BYTES (${size(warnBytes)}) in ${days.toFixed(1)} days.`, "See that a relay publishes and drops what is old.")
  return ok("outbox size", `${found}; how full Postgres' disk is SQL cannot tell`)
}

export const storeFinding = ({ storage, limits }: Pick<JetStreamAccountStats, "storage" | "limits">): Finding =>
  limits.max_storage <= 0
    ? ok("JetStream storage", `${size(storage)}, no limit for this account; the server's own (max_file_store, else ¾ of the disk that was free when it started) is not seen from here`)
    : filled("JetStream storage", storage, limits.max_storage, "Raise the account's limit (max_file): once it is reached the relay waits, and nothing new is published.")

export const changesRoomFinding = ({ state, config }: StreamInfo): Finding =>
  config.max_bytes === undefined || config.max_bytes <= 0
    ? ok("CHANGES room", `${size(state.bytes)}, without a bound of its own`)
    : filled("CHANGES room", state.bytes, config.max_bytes, "nats stream edit CHANGES --max-bytes=…: once it is reached the relay waits, and nothing new is published.")

const filled = (check: string, bytes: number, limit: number, todo: string): Finding => {
  const found = `${size(bytes)} of ${size(limit)}`
  if (bytes >= 0.98 * limit) return problem(check, `${found}: full.`, todo)
  return bytes > ROOM_WARN_PART * limit ? warning(check, `${found}: nearly full.`, todo) : ok(check, found)
}

export const payloadFinding = (maxPayload: number): Finding =>
  maxPayload >= MESSAGE_BYTES
    ? ok("max_payload", size(maxPayload))
    : warning("max_payload", `The server takes messages of ${size(maxPayload)}, rows may make ones of ${size(MESSAGE_BYTES)}.`, `Set max_payload to ${MESSAGE_BYTES} in the server's configuration; until then larger changes are set aside.`)
