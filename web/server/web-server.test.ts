import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { Server } from "node:http"
import { connect } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loadFiles } from "./files.ts"
import { makeProxy } from "./proxy.ts"
import { respond } from "./respond.ts"

const servers: Array<Server> = []
const listen = (server: Server): Promise<number> => {
  servers.push(server)
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)))
}
afterAll(() => {
  for (const server of servers) server.close().closeAllConnections()
})

/** A port on which nobody listens. */
const closedPort = async (): Promise<number> => {
  const server = createServer()
  const port = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe("the app's files", () => {
  const root = mkdtempSync(join(tmpdir(), "tideline-web-"))
  afterAll(() => rmSync(root, { recursive: true }))
  let url: string
  beforeAll(async () => {
    mkdirSync(join(root, "assets"))
    writeFileSync(join(root, "index.html"), "<!doctype html><title>the app</title>")
    writeFileSync(join(root, "assets", "index-Ab12Cd34.js"), `console.log("${"x".repeat(5_000)}")`)
    const files = loadFiles(root)!
    url = `http://127.0.0.1:${await listen(createServer((request, response) => respond(request, response, files)))}`
  })

  it("keeps for ever what has a hash in its name, and asks again for the rest", async () => {
    const script = await fetch(`${url}/assets/index-Ab12Cd34.js`, { headers: { "accept-encoding": "gzip, br" } })
    expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable")
    expect(script.headers.get("content-encoding")).toBe("br")
    expect(script.headers.get("content-type")).toContain("javascript")
    expect((await script.text()).length).toBeGreaterThan(5_000)
    const page = await fetch(`${url}/`)
    expect(page.headers.get("cache-control")).toBe("no-cache")
    const again = await fetch(`${url}/`, { headers: { "if-none-match": page.headers.get("etag")! } })
    expect(again.status).toBe(304)
  })

  it("gives the app for a path of the app, and nothing for a file that is not there", async () => {
    expect(await (await fetch(`${url}/p/website/task/1`)).text()).toContain("the app")
    expect((await fetch(`${url}/assets/index-00000000.js`)).status).toBe(404)
    expect((await fetch(`${url}/..%2f..%2fetc/passwd`)).headers.get("content-type")).toContain("html")
    expect((await fetch(`${url}/`, { method: "POST" })).status).toBe(405)
  })

  it("lets only its own scripts run", async () => {
    const policy = (await fetch(`${url}/`)).headers.get("content-security-policy")!
    expect(policy).toContain("script-src 'self';")
    expect(policy).toContain("frame-ancestors 'none'")
  })

  it("is not there before it was built", () => {
    expect(loadFiles(join(root, "assets"))).toBeNull()
  })
})

describe("the proxy to the edges", () => {
  const edge = (name: string): Server =>
    createServer((request, response) => {
      if (request.url === "/v1/stream") {
        response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n")
        return
      }
      let body = ""
      request.on("data", (chunk: Buffer) => (body += chunk.toString()))
      request.on("end", () => response.writeHead(200, { "x-edge": name }).end(JSON.stringify({ url: request.url, auth: request.headers.authorization, body })))
    }).on("upgrade", (_request, socket, head) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n")
      socket.write(head)
      socket.pipe(socket)
    })
  const address = (port: number): URL => new URL(`http://127.0.0.1:${port}`)
  const proxied = async (...ports: ReadonlyArray<number>): Promise<{ port: number; url: string; close: () => void }> => {
    const proxy = makeProxy(ports.map(address))
    const port = await listen(createServer(proxy.forward).on("upgrade", proxy.upgrade))
    return { port, url: `http://127.0.0.1:${port}`, close: proxy.close }
  }

  it("passes on method, path, body and credentials, and lets the edges take turns", async () => {
    const { url } = await proxied(await listen(edge("a")), await listen(edge("b")))
    const seen = new Set<string>()
    for (let times = 0; times < 4; times++) {
      const answer = await fetch(`${url}/v1/mutations?x=1`, { method: "POST", body: "hello", headers: { authorization: "Bearer t" } })
      expect(await answer.json()).toEqual({ url: "/v1/mutations?x=1", auth: "Bearer t", body: "hello" })
      seen.add(answer.headers.get("x-edge")!)
    }
    expect([...seen].toSorted()).toEqual(["a", "b"])
  })

  it("passes over an edge that refuses", async () => {
    const { url } = await proxied(await closedPort(), await listen(edge("b")))
    for (let times = 0; times < 4; times++) expect((await fetch(`${url}/v1/task`)).headers.get("x-edge")).toBe("b")
  })

  it("says so when no edge is there", async () => {
    const { url } = await proxied(await closedPort())
    const answer = await fetch(`${url}/v1/task`)
    expect(answer.status).toBe(503)
    expect(answer.headers.get("retry-after")).toBe("1")
  })

  it("sends an event stream on as it comes", async () => {
    const { url } = await proxied(await listen(edge("a")))
    const answer = await fetch(`${url}/v1/stream`)
    const { value } = await answer.body!.getReader().read()
    expect(new TextDecoder().decode(value)).toBe("data: 1\n\n")
    await answer.body?.cancel().catch(() => undefined)
  })

  it("joins a socket to an edge that is there, and ends it with the server", async () => {
    const { port, close } = await proxied(await closedPort(), await listen(edge("b")))
    const socket = connect(port, "127.0.0.1")
    const closed = new Promise((resolve) => socket.once("close", resolve))
    const heard = new Promise<string>((resolve) => {
      let text = ""
      socket.on("data", (chunk) => {
        text += chunk.toString()
        if (text.includes("101") && text.endsWith("hello")) resolve(text)
      })
    })
    socket.on("error", () => undefined)
    socket.write("GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nhello")
    expect(await heard).toContain("101 Switching Protocols")
    close()
    await closed
  })
})
