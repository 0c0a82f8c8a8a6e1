import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const program = fileURLToPath(new URL("./test/service.ts", import.meta.url))

interface Ran {
  readonly code: number | null
  readonly out: ReadonlyArray<Record<string, unknown>>
  readonly err: string
}

/** Runs the sample service; `onUp` is called with its first log line's port. */
const run = (env: Record<string, string>, onUp?: (child: ReturnType<typeof spawn>, port: number) => unknown): Promise<Ran> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program], { env: { PATH: process.env["PATH"], ...env }, stdio: ["pipe", "pipe", "pipe"] })
    let out = ""
    let err = ""
    child.stdout.on("data", (chunk) => {
      const first = !out.includes("\n")
      out += String(chunk)
      if (first && out.includes("\n")) Promise.resolve(onUp?.(child, Number(JSON.parse(out.split("\n")[0]!).port))).catch(reject)
    })
    child.stderr.on("data", (chunk) => (err += String(chunk)))
    child.on("close", (code) => resolve({ code, err, out: out.split("\n").filter(Boolean).map((line) => JSON.parse(line)) }))
  })

// Each of these starts programs, which takes its time on a busy machine.
describe("runService", { timeout: 60_000 }, () => {
  it("stops gracefully on SIGTERM with exit 0", async () => {
    const ran = await run({ SAMPLE: "stay" }, (child) => child.kill("SIGTERM"))
    expect(ran.code).toBe(0)
    expect(ran.out.map((line) => line["message"])).toEqual(["up", "closed"])
    expect(ran.out[0]).toMatchObject({ level: "info", service: "sample" })
  })

  it("stops gracefully when its supervisor's pipe ends", async () => {
    const ran = await run({ SAMPLE: "stay", TIDELINE_SUPERVISED: "1" }, (child) => child.stdin!.end())
    expect(ran.code).toBe(0)
    expect(ran.out.at(-1)!["message"]).toBe("closed")
  })

  it("does not listen to standard input where nobody supervises", async () => {
    const ran = await run({ SAMPLE: "stay" }, async (child, port) => {
      child.stdin!.end()
      await fetch(`http://127.0.0.1:${port}/healthz`)
      child.kill("SIGTERM")
    })
    expect(ran.code).toBe(0)
  })

  it("names the variable that is missing or wrong and exits 1", async () => {
    expect(await run({})).toMatchObject({ code: 1, err: "SAMPLE: required: stay, end or fail\n", out: [] })
    expect(await run({ SAMPLE: "" })).toMatchObject({ code: 1, err: "SAMPLE: required: stay, end or fail\n" })
    expect(await run({ SAMPLE: "zz" })).toMatchObject({ code: 1, err: "SAMPLE: stay, end or fail\n" })
    expect(await run({ SAMPLE: "end", TIDELINE_LOG_LEVEL: "loud" })).toMatchObject({
      code: 1,
      err: "TIDELINE_LOG_LEVEL: one of trace, debug, info, warn, error, none\n",
    })
  })

  it("ends with 0 when the program ends, with 1 and one line when it fails", async () => {
    expect((await run({ SAMPLE: "end" })).code).toBe(0)
    const failed = await run({ SAMPLE: "fail" })
    expect(failed.code).toBe(1)
    expect(failed.out).toHaveLength(1)
    expect(failed.out[0]).toMatchObject({ level: "error", message: "sample ends: it broke", hint: "mend it" })
  })

  it("answers health, readiness with reasons, and metrics", async () => {
    let seen: ReadonlyArray<unknown> = []
    await run({ SAMPLE: "stay" }, async (child, port) => {
      const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`)
      const health = await get("/healthz")
      const ready = await get("/readyz")
      const metrics = await get("/metrics")
      const none = await get("/none")
      seen = [health.status, ready.status, (await ready.json()).reasons, metrics.headers.get("content-type"), none.status]
      child.kill("SIGTERM")
    })
    expect(seen).toEqual([200, 503, ["warming up"], "text/plain; version=0.0.4; charset=utf-8", 404])
  })
})
