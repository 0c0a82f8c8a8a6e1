import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connectNats } from "#nats/connection.ts"
import type { Nats } from "#nats/connection.ts"
import type { FollowEvent } from "#nats/log.ts"
import { jetStreamLog } from "#nats/log-jetstream.ts"
import { applyStreams, CHANGES, mirrorReached, StreamConflict, STATE } from "#nats/streams.ts"
import { logContract } from "#test/contract/log.ts"
import { appendChanges } from "#test/support/append.ts"
import { startNats } from "#test/support/servers.ts"
import type { TestNats } from "#test/support/servers.ts"
import { until } from "#test/support/until.ts"

const connect = async (url: string): Promise<{ nats: Nats; close: () => Promise<void> }> => {
  const scope = Scope.makeUnsafe()
  const nats = await Effect.runPromise(Scope.provide(connectNats(url, "test"), scope))
  return { nats, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

logContract("JetStream, as the edge may use it,", async () => {
  const server = await startNats()
  const operator = await connect(server.url())
  await applyStreams(operator.nats)
  const edge = await connect(server.url("edge"))
  return {
    log: jetStreamLog(edge.nats),
    append: (...changes) => appendChanges(operator.nats, changes),
    stop: async () => {
      await Promise.all([operator.close(), edge.close()])
      await server.stop()
    },
  }
})

describe("a follower of JetStream", () => {
  let server: TestNats
  let operator: Awaited<ReturnType<typeof connect>>
  beforeAll(async () => {
    server = await startNats()
    operator = await connect(server.url())
    await applyStreams(operator.nats)
  }, 30_000)
  afterAll(async () => {
    await operator.close()
    await server.stop()
  })

  const change = (id: string) => ({ scope: "s", entity: "note", id, body: "{}" })

  it("goes on after the server was killed, without a gap and without a repeat", async () => {
    const seen: Array<number> = []
    const events: Array<FollowEvent> = []
    const start = (await jetStreamLog(operator.nats).head()).last
    const following = await jetStreamLog(operator.nats).follow({ from: start + 1, message: (m) => seen.push(m.seq), event: (e) => events.push(e) })
    await appendChanges(operator.nats, [change("a"), change("b")])
    await server.kill()
    await server.restart()
    await until(() => operator.nats.connected(), { what: "the connection is back" })
    const last = await appendChanges(operator.nats, [change("c"), change("d")])
    await following.reach(last, 10_000)
    expect(seen).toEqual([1, 2, 3, 4].map((n) => start + n))
    expect(events.map((e) => e.type)).not.toContain("reset")
    expect(events.at(-1)).toMatchObject({ type: "current" })
    await following.stop()
  }, 30_000)

  it("notices that the stream is another one, though it is longer than before", async () => {
    const log = jetStreamLog(operator.nats)
    const events: Array<FollowEvent> = []
    const start = (await log.head()).last
    await log.follow({ from: start + 1, message: () => {}, event: (e) => events.push(e) })
    await appendChanges(operator.nats, [change("a")])
    await until(() => events.some((e) => e.type === "current"), { what: "the follower is live" })
    // Where a disk was lost the new stream may have grown past the old one's end before anyone looks.
    await operator.nats.jetstream.streams.delete(STATE)
    await operator.nats.jetstream.streams.delete(CHANGES)
    await applyStreams(operator.nats)
    await appendChanges(operator.nats, Array.from({ length: start + 50 }, (_, i) => change(`n${i}`)))
    await until(() => events.some((e) => e.type === "reset"), { what: "a reset", deadline: 15_000 })
    expect(events.at(-1)).toMatchObject({ type: "reset", reason: "lost" })
  }, 30_000)
})

describe("the streams", () => {
  let server: TestNats
  let operator: Awaited<ReturnType<typeof connect>>
  beforeAll(async () => {
    server = await startNats()
    operator = await connect(server.url())
  }, 30_000)
  afterAll(async () => {
    await operator.close()
    await server.stop()
  })

  it("are made once, brought back to what they must be, and refused where that cannot be", async () => {
    const relay = await connect(server.url("relay"))
    const made = await applyStreams(relay.nats)
    await operator.nats.jetstream.streams.update(CHANGES, { ...made.config, max_age: 3_600_000_000_000 })
    const again = await applyStreams(relay.nats)
    expect(again.created).toBe(made.created)
    expect(again.config.max_age).toBe(made.config.max_age)
    const last = await appendChanges(operator.nats, [{ scope: null, entity: "note", id: "n", body: "{}" }])
    expect(await mirrorReached(relay.nats, last, 5_000)).toBe(true)
    await operator.nats.jetstream.streams.delete(STATE)
    await operator.nats.jetstream.streams.add({ name: STATE, subjects: ["other"] })
    await expect(applyStreams(relay.nats)).rejects.toBeInstanceOf(StreamConflict)
    await relay.close()
  })

  it("let nobody but the relay write, nobody read another's replies, and command read nothing", async () => {
    await operator.nats.jetstream.streams.delete(STATE).catch(() => false)
    await applyStreams(operator.nats)
    for (const user of ["edge", "authz", "command"] as const) {
      const one = await connect(server.url(user))
      await expect(one.nats.connection.request("chg._.note.n", "{}", { timeout: 300 })).rejects.toThrow(/permissions violation/i)
      const denied = new Promise<string>((resolve) => {
        one.nats.connection.subscribe("_INBOX_relay.>", { callback: (error) => resolve(error?.message ?? "allowed") })
      })
      expect(await denied).toMatch(/permissions violation/i)
      await one.close()
    }
    const command = await connect(server.url("command"))
    await expect(command.nats.jetstream.streams.info(CHANGES)).rejects.toThrow(/permissions violation/i)
    await command.close()
    expect((await jetStreamLog(operator.nats).head()).last).toBe(1)
  })
})
