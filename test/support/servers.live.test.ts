import { existsSync } from "node:fs"
import { connect } from "@nats-io/transport-node"
import { jetstreamManager } from "@nats-io/jetstream"
import postgresjs from "postgres"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { isAlive } from "#dev/processes.ts"
import { startNats, startPostgres } from "./servers.ts"
import type { TestNats, TestPostgres } from "./servers.ts"

describe("a Postgres for a test", () => {
  let server: TestPostgres
  beforeAll(async () => void (server = await startPostgres()))
  afterAll(() => server.stop())

  const query = async (text: string): Promise<ReadonlyArray<Record<string, unknown>>> => {
    const sql = postgresjs(server.url(), { max: 1 })
    try {
      return await sql.unsafe(text)
    } finally {
      await sql.end()
    }
  }

  it("keeps its data through a restart and through kill -9", async () => {
    await query("create table kept (n int)")
    await server.restart()
    await query("insert into kept values (1)")
    const before = server.pid()
    await server.kill()
    expect(isAlive(before)).toBe(false)
    await server.restart()
    expect(await query("select n from kept")).toHaveLength(1)
  })

  it("takes nobody without the password", async () => {
    const sql = postgresjs(server.url().replace(":test@", ":wrong@"), { max: 1 })
    await expect(sql`select 1`.execute()).rejects.toMatchObject({ code: "28P01" })
    await sql.end()
  })
})

describe("a nats-server for a test", () => {
  let server: TestNats
  beforeAll(async () => void (server = await startNats()))
  afterAll(() => server.stop())

  const streams = async (): Promise<number> => {
    const { host, username, password } = new URL(server.url())
    const connection = await connect({ servers: host, user: username, pass: password, inboxPrefix: "_INBOX_operator" })
    try {
      const manager = await jetstreamManager(connection)
      const info = await manager.getAccountInfo()
      if (info.streams === 0) await manager.streams.add({ name: "KEPT", subjects: ["kept.>"] })
      return info.streams
    } finally {
      await connection.close()
    }
  }

  it("keeps its streams through a restart and through kill -9", async () => {
    expect(await streams()).toBe(0)
    await server.restart()
    expect(await streams()).toBe(1)
    await server.kill()
    await server.restart()
    expect(await streams()).toBe(1)
  })
})

it("leaves neither process nor folder", async () => {
  const [pg, nats] = await Promise.all([startPostgres(), startNats()])
  const pids = [pg.pid(), nats.pid()]
  await Promise.all([pg.stop(), nats.stop()])
  expect(pids.map(isAlive)).toEqual([false, false])
  expect([existsSync(pg.dataDir), existsSync(nats.storeDir)]).toEqual([false, false])
})
