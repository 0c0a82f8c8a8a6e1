/** Hop 3 as `doctor` sees it: the server, the two streams, the mirror between them. */
import { PersistMode } from "@nats-io/jetstream"
import type { StreamConfig, StreamInfo } from "@nats-io/jetstream"
import { Clock, Effect, Result } from "effect"
import type { Nats } from "#nats/connection.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { changesConfig, stateConfig, stateConfigFor } from "#nats/streams.ts"
import type { Epoch } from "#protocol/epoch.ts"
import { STREAM_CONSUMERS } from "#protocol/limits.ts"
import type { CommandFailed } from "../failure.ts"
import { askNats, readStream } from "../status/streams.ts"
import { spell } from "../time.ts"
import type { Finding } from "./finding.ts"
import { atLeast, ok, problem, RECENT_MS, warning } from "./finding.ts"
import { changesRoomFinding, payloadFinding, storeFinding } from "./room.ts"

const LEAST_VERSION = "2.12"
/** Events a mirror may be behind for a moment without a word. */
const MIRROR_BEHIND = 1_000
/** Milliseconds without a sign of the origin after which a mirror does not follow. It hears of it about each second. */
const MIRROR_SILENT_MS = 30_000
/** Part of the consumers a stream may have at which it is time to look. */
const MANY_CONSUMERS = 0.8

export const natsFindings = (nats: Nats): Effect.Effect<ReadonlyArray<Finding>, CommandFailed> =>
  Effect.gen(function* () {
    const findings: Array<Finding> = [serverFinding(nats.connection.info?.version ?? "0"), payloadFinding(nats.connection.info?.max_payload ?? 0)]
    const account = yield* Effect.result(askNats(() => nats.jetstream.getAccountInfo()))
    if (Result.isFailure(account)) {
      return [...findings, problem("JetStream", account.failure.message, "Switch JetStream on for this account (jetstream { store_dir: … }; see nats/nats.conf).")]
    }
    findings.push(ok("JetStream", `on, ${account.success.streams} streams in this account`), storeFinding(account.success))
    const changes = yield* readStream(nats, changesConfig.name)
    const state = yield* readStream(nats, stateConfig.name)
    findings.push(streamFinding(changesConfig, changes), streamFinding(stateConfigFor(state?.config.num_replicas ?? 1), state))
    if (changes !== null) findings.push(changesRoomFinding(changes))
    if (changes !== null && state !== null) findings.push(mirrorFinding(changes, state))
    for (const info of [changes, state]) if (info !== null) findings.push(consumersFinding(info))
    if (changes !== null && state !== null) {
      const epochs = yield* askNats(() => jetStreamLog(nats).epochs())
      const newest = epochs.at(-1)
      findings.push(newest === undefined
        ? problem("epoch", "The stream has no epoch yet, so no edge can serve.", "Start a relay: its first message opens the first epoch.")
        : epochFinding(newest, yield* Clock.currentTimeMillis))
    }
    return findings
  })

/** An epoch after the first one was opened because something was lost: that is worth a word for a day. */
export const epochFinding = ({ id, previous, at, reason }: Epoch, now: number): Finding => {
  const found = `${id}, since ${at}: ${reason}`
  return previous === null || Date.parse(at) < now - RECENT_MS
    ? ok("epoch", found)
    : warning("epoch", found, "The relay has published again what was lost, or rebuilt it (see rebuild). Find out what happened to the servers; clients have followed by themselves.")
}

const serverFinding = (version: string): Finding =>
  atLeast(version, LEAST_VERSION)
    ? ok("nats-server", `version ${version}`)
    : problem("nats-server", `Version ${version} has no atomic batches.`, `Use nats-server ${LEAST_VERSION} or later.`)

/** The server leaves out what is nothing, and says more of a mirror than its name. */
const differs = (wanted: unknown, found: unknown): boolean => {
  if (wanted === PersistMode.Default && found === undefined) return false
  if (typeof wanted === "object" && wanted !== null && "name" in wanted) return (found as { name?: unknown } | undefined)?.name !== wanted.name
  return JSON.stringify(wanted) !== JSON.stringify(found) && (Boolean(wanted) || Boolean(found))
}

export const streamFinding = (wanted: Partial<StreamConfig> & { readonly name: string }, info: StreamInfo | null): Finding => {
  const check = `stream ${wanted.name}`
  if (info === null) return problem(check, "There is no such stream.", "Start a relay: it makes the streams.")
  const different = (Object.keys(wanted) as Array<keyof StreamConfig>).filter((field) => differs(wanted[field], info.config[field]))
  if (different.length > 0) {
    const list = different.map((field) => `${field} is ${JSON.stringify(info.config[field] ?? null)}, should be ${JSON.stringify(wanted[field])}`).join("; ")
    return problem(check, `${list}.`, "Restart the relay: it applies the configuration, or says why the server does not let it.")
  }
  return ok(check, `configured as declared, ${info.state.messages.toLocaleString("en")} messages, sequences ${info.state.first_seq} to ${info.state.last_seq}`)
}

/** A mirror's own lag says 0 where it never found its origin: it is believed only beside the origin's last sequence. */
export const mirrorFinding = (changes: StreamInfo, state: StreamInfo): Finding => {
  const behind = changes.state.last_seq - state.state.last_seq
  const silentMs = state.mirror === undefined || state.mirror.active < 0 ? Number.POSITIVE_INFINITY : state.mirror.active / 1e6
  const todo = "See nats-server's log about the mirror. If it does not recover, remove STATE (nats stream rm STATE) and restart the relay: it is made again from CHANGES."
  if (state.mirror?.error !== undefined) return problem("mirror", `STATE does not follow: ${state.mirror.error.description}.`, todo)
  if (behind < 0) return problem("mirror", `STATE is ${-behind} ahead of CHANGES: CHANGES lost its end.`, todo)
  if (behind === 0) return ok("mirror", "STATE has all of CHANGES")
  if (silentMs > MIRROR_SILENT_MS) {
    return problem("mirror", `STATE is ${behind.toLocaleString("en")} events behind and has not heard from CHANGES ${Number.isFinite(silentMs) ? `for ${spell(silentMs)}` : "yet"}.`, todo)
  }
  const found = `STATE is ${behind.toLocaleString("en")} events behind.`
  return behind > MIRROR_BEHIND ? warning("mirror", found, "Wait and look again; if it grows, the store of nats-server is too slow.") : ok("mirror", found)
}

const consumersFinding = ({ config, state }: StreamInfo): Finding => {
  const found = `${state.consumer_count} of ${STREAM_CONSUMERS} consumers`
  return state.consumer_count > MANY_CONSUMERS * STREAM_CONSUMERS
    ? warning(`${config.name} consumers`, `${found}.`, "Somebody opens a consumer a client: let edges share theirs.")
    : ok(`${config.name} consumers`, found)
}
