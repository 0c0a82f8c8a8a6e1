/** `npm start` whole, as a person runs it: through npm's own words, with signals, twice, and beside itself. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import postgresjs from "postgres"
import { afterEach, expect, it } from "vitest"
import { until } from "#test/support/until.ts"
import { freePort } from "./ports.ts"
import { isAlive } from "./processes.ts"
import type { RunFile } from "./run-file.ts"
import { ROOT } from "./services.ts"

const READY_MS = 90_000
const STOP_MS = 45_000

interface Started {
  readonly child: ChildProcess
  readonly dataDir: string
  readonly webPort: number
  readonly said: () => string
  readonly run: () => RunFile
}

const folders: Array<string> = []
const running: Array<ChildProcess> = []
afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGTERM")
      await ended
    }
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
}, STOP_MS)

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "tideline-e2e-start-"))
  folders.push(folder)
  return folder
}

const begin = async (dataDir: string): Promise<Started> => {
  const [webPort, edge1, edge2] = [await Effect.runPromise(freePort()), await Effect.runPromise(freePort()), await Effect.runPromise(freePort())]
  const child = spawn(process.execPath, [join(ROOT, "dev", "bootstrap.mjs"), "start"], {
    env: { PATH: process.env["PATH"]!, HOME: process.env["HOME"] ?? "", TIDELINE_DATA: dataDir, TIDELINE_PORT: String(webPort), TIDELINE_EDGE_PORTS: `${edge1},${edge2}` },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, as a terminal gives it: Ctrl-C is a signal to the group.
    detached: true,
  })
  running.push(child)
  let said = ""
  for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
  const ready = new RegExp(`^ready http://127\\.0\\.0\\.1:${webPort}$`, "m")
  const over = new Promise<never>((_resolve, reject) => child.once("close", () => reject(new Error(`npm start ended:\n${said}`))))
  await Promise.race([over, until(() => ready.test(said), { what: "npm start is ready", deadline: READY_MS })])
  over.catch(() => undefined)
  return { child, dataDir, webPort, said: () => said, run: () => JSON.parse(readFileSync(join(dataDir, "run.json"), "utf8")) as RunFile }
}

const ended = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null ? Promise.resolve(child.exitCode) : new Promise((resolve) => child.once("exit", (code) => resolve(code)))

const pids = (started: Started): ReadonlyArray<number> => started.run().processes.map((one) => one.pid!)

const query = async (started: Started, text: string): Promise<ReadonlyArray<Record<string, unknown>>> => {
  const sql = postgresjs(started.run().databaseUrl, { max: 1 })
  try {
    return await sql.unsafe(text)
  } finally {
    await sql.end()
  }
}

it("serves, starts again what dies, stops on Ctrl-C without leaving a process, and goes on with its data", async () => {
  const dataDir = newFolder()
  const first = await begin(dataDir)
  const names = first.run().processes.map((one) => one.name)
  expect(names.toSorted()).toEqual(["authz", "command", "edge-1", "edge-2", "nats", "postgres", "relay", "web"])
  const page = await fetch(`http://127.0.0.1:${first.webPort}/`)
  expect(page.status).toBe(200)
  expect(await page.text()).toContain("<script")
  const token = await fetch(`http://127.0.0.1:${first.webPort}/v1/demo/token`, { method: "POST", body: JSON.stringify({ user: "ada" }), headers: { "content-type": "application/json" } })
  expect(await token.json()).toMatchObject({ token: expect.any(String) as unknown })
  await query(first, "create table kept as select 42 as n")

  const edge = first.run().processes.find((one) => one.name === "edge-1")!
  process.kill(edge.pid!, "SIGKILL")
  const again = await until(() => first.run().processes.find((one) => one.name === "edge-1" && one.pid !== null && one.pid !== edge.pid), { what: "edge-1 has a new process" })
  expect(again.port).toBe(edge.port)
  await until(async () => (await fetch(`http://127.0.0.1:${edge.port}/readyz`)).ok, { what: "edge-1 is ready again", deadline: 20_000 })
  expect(first.said()).toContain("edge-1 was ended by SIGKILL")

  const before = pids(first)
  process.kill(-first.child.pid!, "SIGINT")
  expect(await ended(first.child)).toBe(0)
  expect(before.filter(isAlive)).toEqual([])
  expect(() => first.run()).toThrow(/ENOENT/)

  const second = await begin(dataDir)
  expect(await query(second, "select n from kept")).toEqual([{ n: 42 }])
  expect(second.said()).toContain("up to date")
})

it("runs beside another; killed, it leaves no process and starts again at once", async () => {
  const dataDir = newFolder()
  const [one, other] = await Promise.all([begin(dataDir), begin(newFolder())])
  const before = pids(one)
  expect(new Set([...before, ...pids(other)]).size).toBe(16)
  const answers = await Promise.all([one, other].map(async ({ webPort }) => (await fetch(`http://127.0.0.1:${webPort}/readyz`)).status))
  expect(answers).toEqual([200, 200])

  process.kill(one.run().supervisor.pid, "SIGKILL")
  const again = await begin(dataDir)
  expect(before.filter(isAlive)).toEqual([])
  expect(pids(again)).toHaveLength(8)
  expect(pids(other).every(isAlive)).toBe(true)
})
