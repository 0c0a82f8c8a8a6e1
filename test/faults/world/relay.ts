/** A relay of the world: a place for a process, with links of its own to both servers. */
import { startRelay } from "#test/support/relay.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import type { Link } from "./link.ts"
import { openLink } from "./link.ts"
import { natsSplitter } from "./nats-frames.ts"
import { postgresSplitter } from "./postgres-frames.ts"

export interface RelayState {
  readonly name: string
  /** It holds the lease and publishes. */
  readonly active: boolean
  /** Null while it does not answer. */
  readonly reasons: ReadonlyArray<string> | null
}

export interface Relay {
  readonly name: string
  readonly links: { readonly postgres: Link; readonly nats: Link }
  /** Starts it where it does not run. */
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
  /** Asks it to end; answers its exit code. */
  readonly stop: () => Promise<number | null>
  readonly pause: () => void
  readonly resume: () => void
  readonly state: () => Promise<RelayState>
  /** What it did since the last call that nobody asked it for: it ended by itself. */
  readonly surprises: () => ReadonlyArray<string>
  /** Everything its process logged. */
  readonly log: () => string
  readonly close: () => Promise<void>
}

export interface RelayPlace {
  readonly name: string
  readonly postgres: { readonly url: string; readonly port: number }
  readonly nats: { readonly url: string; readonly port: number }
}

export const makeRelay = async ({ name, postgres, nats }: RelayPlace): Promise<Relay> => {
  const links = {
    postgres: await openLink(`relay ${name} and Postgres`, postgres.port, postgresSplitter),
    nats: await openLink(`relay ${name} and nats-server`, nats.port, natsSplitter),
  }
  let surprises: ReadonlyArray<string> = []
  let process: RelayProcess | null = null
  const start = async (): Promise<void> => {
    if (process !== null) return
    const started = await startRelay(withPort(postgres.url, links.postgres.port), withPort(nats.url, links.nats.port))
    process = started
    void started.ended.then((code) => {
      if (process !== started) return
      process = null
      surprises = [...surprises, `relay ${name} ended by itself with ${code ?? "a signal"}: ${started.log().trim().split("\n").slice(-3).join(" | ")}`]
    })
  }
  const end = async (signal: "SIGTERM" | "SIGKILL"): Promise<number | null> => {
    const ending = process
    process = null
    return ending === null ? null : ending.end(signal)
  }
  return {
    name,
    links,
    start,
    kill: async () => void (await end("SIGKILL")),
    stop: () => end("SIGTERM"),
    pause: () => process?.signal("SIGSTOP"),
    resume: () => process?.signal("SIGCONT"),
    state: async () => {
      const [active, reasons] = await Promise.all([process?.metric("tideline_relay_active"), process?.reasons()])
      return { name, active: active === 1, reasons: reasons ?? null }
    },
    surprises: () => {
      const since = surprises
      surprises = []
      return since
    },
    log: () => process?.log() ?? "",
    close: async () => {
      await end("SIGKILL")
      await Promise.all([links.postgres.close(), links.nats.close()])
    },
  }
}

const withPort = (url: string, port: number): string => {
  const address = new URL(url)
  address.port = String(port)
  return address.href
}
