/** A place for a service: a process that can be killed, held still and started again, with a link of its own to nats-server where one is wanted. */
import type { Link } from "#test/faults/world/link.ts"
import { openLink } from "#test/faults/world/link.ts"
import { natsSplitter } from "#test/faults/world/nats-frames.ts"
import type { ServiceProcess } from "#test/support/service.ts"
import { startService } from "#test/support/service.ts"
import { until } from "#test/support/until.ts"

export interface Station {
  readonly name: string
  /** Null where it goes to nats-server directly. */
  readonly link: Link | null
  /** Starts it where it does not run. */
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
  /** Asks it to end, and waits for it. */
  readonly stop: () => Promise<void>
  readonly pause: () => void
  readonly resume: () => void
  /** Resolves when it says that it can serve. */
  readonly ready: () => Promise<void>
  /** What it did since the last call that nobody asked it for: it ended by itself. */
  readonly surprises: () => ReadonlyArray<string>
  /** Everything its process logged. */
  readonly log: () => string
  readonly close: () => Promise<void>
}

export interface StationPlace {
  readonly name: string
  /** Its program, from the root of the project. */
  readonly entry: string
  readonly nats: { readonly url: string; readonly port: number }
  readonly settings: Readonly<Record<string, string>>
  readonly linked: boolean
}

/** Milliseconds for a service to become ready on a busy machine. */
const READY_MS = 60_000

export const makeStation = async ({ name, entry, nats, settings, linked }: StationPlace): Promise<Station> => {
  const link = linked ? await openLink(`${name} and nats-server`, nats.port, natsSplitter) : null
  const natsUrl = new URL(nats.url)
  if (link !== null) natsUrl.port = String(link.port)
  let process: ServiceProcess | null = null
  let surprises: ReadonlyArray<string> = []
  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    const ending = process
    process = null
    await ending?.end(signal)
  }
  return {
    name,
    link,
    start: async () => {
      if (process !== null) return
      const started = await startService(entry, { ...settings, NATS_URL: natsUrl.href })
      process = started
      void started.ended.then((code) => {
        if (process !== started) return
        process = null
        surprises = [...surprises, `${name} ended by itself with ${code ?? "a signal"}: ${started.log().trim().split("\n").slice(-3).join(" | ")}`]
      })
    },
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    pause: () => process?.signal("SIGSTOP"),
    resume: () => process?.signal("SIGCONT"),
    ready: async () => {
      await until(async () => (await process?.reasons())?.length === 0, { what: `${name} is ready`, deadline: READY_MS, every: 50 }).catch(async (cause: Error) => {
        throw new Error(`${cause.message}: ${JSON.stringify(await process?.reasons())}`, { cause })
      })
    },
    surprises: () => {
      const since = surprises
      surprises = []
      return since
    },
    log: () => process?.log() ?? "",
    close: async () => {
      await end("SIGKILL")
      await link?.close()
    },
  }
}
