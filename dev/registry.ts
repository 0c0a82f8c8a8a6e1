/** The processes of one stack: started under supervision, their output in log files, and run.json kept true about them. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { join } from "node:path"
import type { Child } from "./child.ts"
import type { StartConfig } from "./config.ts"
import { reasonOf } from "./errors.ts"
import type { DevError } from "./errors.ts"
import { logFile } from "./log-file.ts"
import { beganAt } from "./processes.ts"
import type { RunProcess } from "./run-file.ts"
import { removeRunFile, writeRunFile } from "./run-file.ts"
import type { Screen } from "./screen.ts"
import { supervise } from "./supervise.ts"
import type { Supervised } from "./supervise.ts"

export interface Ports {
  /** Where it serves its clients; null where it has no clients of its own. */
  readonly port: number | null
  readonly observePort: number | null
}

export interface Registry {
  readonly processes: () => ReadonlyArray<RunProcess>
  /** The process of that name. Throws where there is none. */
  readonly process: (name: string) => Supervised
  /** Where it serves, for people; "" where nowhere. */
  readonly where: (name: string) => string
  /** Says in run.json where the servers are. */
  readonly tell: (addresses: { readonly databaseUrl: string; readonly natsUrl: string }) => void
  /** A process under supervision until the scope closes; it has begun, and need not be ready. */
  readonly add: (
    name: string,
    ports: Ports,
    start: (onLine: (line: string) => void) => Effect.Effect<Child, DevError, Scope.Scope>,
    ready: Effect.Effect<void>,
  ) => Effect.Effect<Supervised, never, Scope.Scope>
}

export const makeRegistry = (settings: StartConfig, screen: Screen): Effect.Effect<Registry, never, Scope.Scope> =>
  Effect.gen(function* () {
    const all = new Map<string, Ports & { readonly supervised: Supervised }>()
    const logs = join(settings.dataDir, "logs")
    const supervisor = { pid: process.pid, began: beganAt(process.pid) }
    let addresses = { databaseUrl: settings.databaseUrl ?? "", natsUrl: settings.natsUrl ?? "" }
    let open = true

    const processes = (): ReadonlyArray<RunProcess> =>
      [...all].map(([name, { supervised, port, observePort }]) => {
        const pid = supervised.pid()
        return { name, pid, began: pid === null ? null : beganAt(pid), port, observePort }
      })
    const write = (): void => {
      if (!open) return
      try {
        writeRunFile(settings.dataDir, { supervisor, ...addresses, ports: { web: settings.webPort, edges: settings.edgePorts }, processes: processes() })
      } catch (cause) {
        screen.warn(`run.json cannot be written, so \`tideline status\` does not know what runs: ${reasonOf(cause)}`)
      }
    }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        open = false
        removeRunFile(settings.dataDir)
      }),
    )

    return {
      processes,
      process: (name) => {
        const found = all.get(name)
        if (found === undefined) throw new Error(`There is no process ${name}; there are ${[...all.keys()].join(", ")}.`)
        return found.supervised
      },
      where: (name) => {
        const port = all.get(name)?.port ?? null
        return port === null ? "" : `127.0.0.1:${port}`
      },
      tell: (told) => {
        addresses = told
        write()
      },
      add: Effect.fnUntraced(function* (name, ports, start, ready) {
        const supervised = yield* supervise({
          name,
          start: start(logFile(logs, name, screen.warn)),
          ready,
          changed: write,
          ended: (how, delayMs) => screen.warn(`${name} ${oneLine(how)}; starts again in ${delayMs / 1000} s (${join(logs, name)}.log)`),
        })
        all.set(name, { supervised, ...ports })
        return supervised
      }),
    }
  })

/** Enough of a text for one line on the screen. */
const oneLine = (text: string): string => {
  const line = text.replaceAll("\n", " ")
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}
