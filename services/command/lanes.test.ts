import { describe, expect, it } from "vitest"
import { property } from "#test/support/random.ts"
import { makeLanes } from "./lanes.ts"

describe("lanes", () => {
  property("keep the order of each entity and the bound, whatever takes how long", 50, async (random) => {
    const atOnce = 1 + random.int(4)
    const lanes = makeLanes(atOnce)
    const done = new Map<string, Array<number>>()
    const active = new Map<string, number>()
    let running = 0
    const works = Array.from({ length: 60 }, (_, i) => {
      const key = `k${random.int(6)}`
      const ticks = random.int(5)
      const fails = random.chance(0.2)
      return lanes.run(key, async () => {
        running++
        active.set(key, (active.get(key) ?? 0) + 1)
        expect(running).toBeLessThanOrEqual(atOnce)
        expect(active.get(key)).toBe(1)
        for (let t = 0; t < ticks; t++) await Promise.resolve()
        running--
        active.set(key, 0)
        done.set(key, [...(done.get(key) ?? []), i])
        if (fails) throw new Error("failed")
        return i
      })
    })
    const results = await Promise.allSettled(works)
    expect(results.some((result) => result.status === "fulfilled")).toBe(true)
    for (const order of done.values()) expect(order).toEqual([...order].sort((a, b) => a - b))
    expect([...done.values()].flat()).toHaveLength(60)
  })

  it("answer early what must wait for others and need not, and then do not run it", async () => {
    const lanes = makeLanes(2)
    const held = Promise.withResolvers<string>()
    const ran: Array<string> = []
    const work = (name: string) => () => void ran.push(name)
    const first = lanes.run("a", () => held.promise, () => Promise.reject(new Error("nobody is before it")))
    expect(await lanes.run<unknown>("a", work("refused"), () => Promise.resolve("early"))).toBe("early")
    const others = [lanes.run<unknown>("a", work("allowed"), () => Promise.resolve(null)), lanes.run<unknown>("a", work("unclear"), () => Promise.reject(new Error("away")))]
    expect(ran).toEqual([])
    held.resolve("done")
    expect(await first).toBe("done")
    await Promise.all(others)
    expect(ran).toEqual(["allowed", "unclear"])
  })

  it("give what the work gives", async () => {
    const lanes = makeLanes(1)
    expect(await lanes.run("a", () => Promise.resolve(7))).toBe(7)
    await expect(lanes.run("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no")
    expect(await lanes.run("a", () => Promise.resolve(8))).toBe(8)
  })
})
