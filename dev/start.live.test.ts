/** What `npm start` says before anything runs: a port that is taken, a value that is wrong, a data folder in use. */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, expect, it } from "vitest"
import { freePort } from "./ports.ts"
import { takeDataFolder } from "./run-file.ts"
import { ROOT } from "./services.ts"

const dataDir = mkdtempSync(join(tmpdir(), "tideline-start-"))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const start = (env: Record<string, string>): Promise<{ code: number | null; said: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [join(ROOT, "dev", "start.ts")], { env: { PATH: process.env["PATH"]!, TIDELINE_DATA: dataDir, ...env }, stdio: ["ignore", "pipe", "pipe"] })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.once("close", (code) => resolve({ code, said }))
  })

const taken = async (use: (port: number) => Promise<void>): Promise<void> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    server.close()
  }
}

it("names a port that is taken, and the variable to change", () =>
  taken(async (port) => {
    const web = await start({ TIDELINE_PORT: String(port) })
    expect(web.code).toBe(1)
    expect(web.said).toContain(`Port ${port} (TIDELINE_PORT) is already in use.`)
    const edge = await start({ TIDELINE_PORT: String(await Effect.runPromise(freePort())), TIDELINE_EDGE_PORTS: `${port},${port + 1}` })
    expect(edge.code).toBe(1)
    expect(existsSync(join(dataDir, "postgres"))).toBe(false)
  }))

it("names a variable with a wrong value, and what it should be", async () => {
  const { code, said } = await start({ TIDELINE_PORT: "high" })
  expect(code).toBe(1)
  expect(said.trim()).toBe("TIDELINE_PORT: a port, 1 to 65535")
})

it("names a server that is not there", async () => {
  const { code, said } = await start({ DATABASE_URL: "postgres://nobody:secret@127.0.0.1:9/none" })
  expect(code).toBe(1)
  expect(said).toContain("DATABASE_URL: ")
  expect(said).not.toContain("secret")
})

it("does not start twice on the same data", () =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        yield* takeDataFolder(dataDir)
        const { code, said } = yield* Effect.promise(() => start({}))
        expect(code).toBe(1)
        expect(said).toContain(`already runs with the data in ${dataDir}`)
        expect(said).toContain("TIDELINE_DATA")
      }),
    ),
  ))
