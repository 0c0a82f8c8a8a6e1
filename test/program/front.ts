/** What stands between the log and the clients: authz, the command service and edges, each a process, some of them several. */
import { SignJWT } from "jose"
import { Effect } from "effect"
import { freePort } from "#dev/ports.ts"
import type { TestNats, TestPostgres } from "#test/support/servers.ts"
import type { Token } from "./recording.ts"
import type { Station } from "./station.ts"
import { makeStation } from "./station.ts"

export interface EdgeStation extends Station {
  readonly port: number
}

export interface Front {
  readonly edges: ReadonlyArray<EdgeStation>
  readonly authz: ReadonlyArray<Station>
  readonly command: Station
  readonly all: ReadonlyArray<Station>
  /** The user signs in: a token good for a day, of a session of its own. */
  readonly signIn: (user: string) => Promise<Token>
  readonly close: () => Promise<void>
}

export interface FrontOptions {
  readonly postgres: TestPostgres
  readonly nats: TestNats
  readonly edges: number
  readonly authz: number
  /** Whether each has a link to nats-server that can be cut. */
  readonly linked: boolean
}

const SECRET = "0123456789abcdef0123456789abcdef"

/** All of them, not started yet. */
export const makeFront = async ({ postgres, nats, edges: edgeCount, authz: authzCount, linked }: FrontOptions): Promise<Front> => {
  const server = (user: "authz" | "command" | "edge") => ({ url: nats.url(user), port: nats.port })
  const command = await makeStation({ name: "command", entry: "services/command/main.ts", nats: server("command"), linked, settings: { DATABASE_URL: postgres.url("tide_command") } })
  const authz: Array<Station> = []
  for (let i = 1; i <= authzCount; i++) {
    authz.push(await makeStation({ name: `authz-${i}`, entry: "services/authz/main.ts", nats: server("authz"), linked, settings: { TIDELINE_JWT_SECRET: SECRET } }))
  }
  const edges: Array<EdgeStation> = []
  for (let i = 1; i <= edgeCount; i++) {
    const port = await Effect.runPromise(freePort())
    const settings = { TIDELINE_EDGE_PORT: String(port), TIDELINE_EDGE_HOST: "127.0.0.1" }
    edges.push({ ...(await makeStation({ name: `edge-${i}`, entry: "services/edge/main.ts", nats: server("edge"), linked, settings })), port })
  }
  let sessions = 0
  const all: ReadonlyArray<Station> = [command, ...authz, ...edges]
  return {
    edges,
    authz,
    command,
    all,
    signIn: async (user) => {
      const session = `session-${++sessions}`
      const issuedAt = Date.now()
      const claims = new SignJWT({ sid: session }).setProtectedHeader({ alg: "HS256" }).setSubject(user)
      // Within the second: whoever was signed out comes back at once.
      return { user, session, issuedAt, text: await claims.setIssuedAt(issuedAt / 1_000).setExpirationTime("1d").sign(new TextEncoder().encode(SECRET)) }
    },
    close: async () => void (await Promise.all(all.map((station) => station.close()))),
  }
}
