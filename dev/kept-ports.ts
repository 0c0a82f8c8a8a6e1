/** Ports of what people do not address themselves: the embedded servers and the services' /metrics. Kept in TIDELINE_DATA/ports.json. */
import { Effect, Schema } from "effect"
import { join } from "node:path"
import { readValue, writeWhole } from "./data-file.ts"
import { freePort } from "./ports.ts"

const KeptPorts = Schema.Struct({ postgres: Schema.Int, nats: Schema.Int, relay: Schema.Int, authz: Schema.Int, command: Schema.Int })
export type KeptPorts = typeof KeptPorts.Type

/** Loopback ports that stay the same from start to start while nobody else takes them. `taken`: ports that are meant for others. */
export const keptPorts = (dataDir: string, taken: ReadonlyArray<number>): Effect.Effect<KeptPorts> =>
  Effect.gen(function* () {
    const path = join(dataDir, "ports.json")
    const had = Schema.decodeUnknownOption(KeptPorts)(readValue(path))
    const before: Partial<KeptPorts> = had._tag === "Some" ? had.value : {}
    const used = new Set(taken)
    const pick = (name: keyof KeptPorts): Effect.Effect<number> =>
      freePort(used.has(before[name] ?? 0) ? undefined : before[name]).pipe(
        Effect.repeat({ while: (port) => used.has(port) }),
        Effect.tap((port) => Effect.sync(() => used.add(port))),
      )
    const ports = {
      postgres: yield* pick("postgres"),
      nats: yield* pick("nats"),
      relay: yield* pick("relay"),
      authz: yield* pick("authz"),
      command: yield* pick("command"),
    }
    writeWhole(path, ports)
    return ports
  })
