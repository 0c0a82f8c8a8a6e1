/** Loopback ports: free ones for the embedded servers, and a clear error for a configured one that is taken. */
import { Effect } from "effect"
import { randomInt } from "node:crypto"
import { createServer } from "node:net"
import { DevError } from "./errors.ts"

const bind = (port: number): Effect.Effect<number, NodeJS.ErrnoException> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.once("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error)))
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address()
      const bound = typeof address === "object" && address !== null ? address.port : port
      server.close(() => resume(Effect.succeed(bound)))
    })
  })

/** Below what systems give to outgoing connections: such a one could sit on a server's port while the server starts again. */
const FIRST = 20_000
const LAST = 31_999
const TRIES = 50

/** `preferred` if nobody listens there, else any free port. */
export const freePort = (preferred?: number): Effect.Effect<number> => {
  const candidates = [...(preferred === undefined ? [] : [preferred]), ...Array.from({ length: TRIES }, () => randomInt(FIRST, LAST + 1)), 0]
  return Effect.firstSuccessOf(candidates.map(bind)).pipe(Effect.orDie)
}

/** Fails where somebody else listens on the port that `variable` names. */
export const requireFree = (port: number, variable: string): Effect.Effect<void, DevError> =>
  bind(port).pipe(
    Effect.asVoid,
    Effect.mapError((error) =>
      error.code === "EADDRINUSE"
        ? new DevError({
            message: `Port ${port} (${variable}) is already in use.`,
            hint: `End the program that uses it, or choose another port, for example: ${variable}=${exampleFor(variable, port)} npm start`,
          })
        : new DevError({
            message: `Port ${port} (${variable}) cannot be opened: ${error.code ?? error.message}.`,
            hint: `Set ${variable} to a port above 1023 that this user may open.`,
          }),
    ),
  )

const exampleFor = (variable: string, port: number): string => {
  const other = port + 1_000 > 65_535 ? port - 1_000 : port + 1_000
  return variable.endsWith("PORTS") ? `${other},${other + 1}` : String(other)
}
