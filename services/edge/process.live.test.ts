/** An edge as a process, and what happens when the log under it goes away or is not the one it was. */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CHANGES, STATE, applyStreams } from "#nats/streams.ts"
import { freePort } from "#dev/ports.ts"
import type { EdgeStack } from "#test/support/edge-stack.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import { randomFrom } from "#test/support/random.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { until } from "#test/support/until.ts"

const main = fileURLToPath(new URL("./main.ts", import.meta.url))
const children = new Set<ChildProcess>()

let stack: EdgeStack
beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  await stack.startAuthz()
  await stack.grant("user:ada", { scope: "p1" })
})
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL")
  await stack.stop()
})

interface Started {
  readonly child: ChildProcess
  readonly said: () => string
  readonly exit: Promise<number | null>
}

const start = (env: Record<string, string>): Started => {
  const child = spawn(process.execPath, [main], { env: { PATH: process.env["PATH"] ?? "", ...env }, stdio: ["ignore", "pipe", "pipe"] })
  children.add(child)
  let said = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (said += data.toString()))
  const exit = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)))
  return { child, said: () => said, exit }
}

const startEdge = async (): Promise<Started & { readonly port: number }> => {
  const port = await Effect.runPromise(freePort())
  const started = start({ NATS_URL: stack.nats.url("edge"), TIDELINE_EDGE_PORT: String(port) })
  await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok, { what: "the edge is ready" })
  return { ...started, port }
}

const live = async (port: number, cursor: string | null = null): Promise<SocketClient> => {
  const client = new SocketClient(port)
  await client.signIn(await stack.token("ada"))
  await client.subscribe({ entityCode: "task", scopes: ["p1"], ...(cursor === null ? {} : { cursor }) })
  return client
}
const task = (id: string, title: number) => ({ entity: "task", scope: "p1", id, row: { id, title } })

describe("the process", () => {
  it("names a setting that is missing or wrong, and ends", async () => {
    const good = { NATS_URL: "nats://127.0.0.1:1", TIDELINE_EDGE_PORT: "4001" }
    for (const [variable, value] of [["NATS_URL", ""], ["TIDELINE_EDGE_PORT", "x"], ["TIDELINE_ORIGINS", "not an origin"], ["TIDELINE_DEMO", "perhaps"]] as const) {
      const { exit, said } = start({ ...good, [variable]: value })
      expect([await exit, said().split("\n")[0]]).toEqual([1, expect.stringContaining(`${variable}: `)])
    }
  })

  it("resumes elsewhere what a killed one had begun, and drains when it is asked to end", async () => {
    const [one, two] = await Promise.all([startEdge(), startEdge()])
    await stack.write(task("a", 1))
    const client = await live(one.port)
    one.child.kill("SIGKILL")
    expect(await client.closing()).toBe(1006)
    const seq = await stack.write(task("b", 1))
    const again = await live(two.port, client.cursor)
    expect(again.changes()).toEqual([`task/b@${seq}`])
    two.child.kill("SIGTERM")
    expect(await again.closing()).toBe(4010)
    expect(await two.exit).toBe(0)
  })

  it("lives on whatever is thrown at its port", async () => {
    const edge = await startEdge()
    const random = randomFrom(Number(process.env["TIDELINE_SEED"] ?? 7))
    const bytes = (most: number) => Buffer.from(Array.from({ length: random.int(most) }, () => random.int(256)))
    const paths = ["//", "/ws?token=%", "/%", "/v1/%ff", "*", "/v1/task/..%2f", "http://x/ws"]
    const hello = (path = "/ws") =>
      `GET ${path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
    await Promise.all(
      Array.from(
        { length: 200 },
        (_, i) =>
          new Promise<void>((resolve) => {
            const socket = connect(edge.port, "127.0.0.1", () => {
              if (i % 8 === 0) socket.end(bytes(400))
              else if (i % 8 === 1) socket.end(hello(random.pick(paths)))
              else if (i % 8 === 2) socket.end(`GET ${random.pick(paths)} HTTP/1.1\r\nHost: x\r\n\r\n`)
              else {
                socket.write(hello())
                const length = random.int(126)
                // A masked frame of any kind, with any content, whole or cut short.
                socket.end(Buffer.concat([Buffer.from([random.int(256), 0x80 | length, 0, 0, 0, 0]), bytes(length + 10)]))
              }
            })
            socket.on("error", () => resolve()).on("close", () => resolve()).resume()
            socket.setTimeout(3_000, () => socket.destroy())
          }),
      ),
    )
    const client = await live(edge.port)
    client.end()
    expect(edge.child.exitCode).toBeNull()
    expect(edge.said()).not.toContain("mistake of ours")
    edge.child.kill("SIGKILL")
  })
})

describe("the log", () => {
  it("away: connections stay, the lag grows, and they go on when it is back", async () => {
    const { port, edge, stop } = await stack.startEdge({ drainMs: 0 })
    const client = await live(port)
    const connections = edge.connections
    await stack.nats.kill()
    await until(() => (edge.world?.lagMs() ?? 0) > 1_500, { what: "the lag grows" })
    expect(edge.connections).toBe(connections)
    await stack.nats.restart()
    const seq = await until(() => stack.write(task("back", 1)).catch(() => null), { what: "the log takes a change", deadline: 20_000, every: 100 })
    await until(() => client.changes().includes(`task/back@${seq}`), { what: "the change arrives", deadline: 20_000 })
    expect(client.closed).toBeNull()
    client.end()
    await stop()
  })

  it("another one: everybody is sent away, and who comes back with an old cursor starts over", async () => {
    const { port, edge, stop } = await stack.startEdge({ drainMs: 0 })
    const client = await live(port)
    const { cursor } = client
    const streams = stack.operator.jetstream.streams
    for (const name of [STATE, CHANGES]) await streams.delete(name)
    await applyStreams(stack.operator)
    await stack.write({ entity: "_epoch", id: "2-bb", row: { id: "2-bb", previous: "1-aa", firstSeq: 1, reason: "the stream is another one", at: new Date().toISOString() } })
    await stack.write({ entity: "_entity", id: "task", row: { entity: "task", table_name: "app.task", key_columns: ["id"], scope_column: "project_id", json_schema: {} } })
    await stack.grant("user:ada", { scope: "p1" })
    const seq = await stack.write(task("new", 1))
    expect(await client.closing(20_000)).toBe(4010)
    await until(() => edge.world !== null && edge.world.epochs.current === "2-bb", { what: "the edge follows the new log", deadline: 20_000 })
    const again = await live(port, cursor)
    expect(again.frames.filter((frame) => frame.type === "RESET")).toHaveLength(1)
    expect(again.changes()).toEqual([`task/new@${seq}`])
    again.end()
    await stop()
  })
})
