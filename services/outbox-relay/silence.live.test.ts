/** Connections that neither answer nor end, as a network leaves them that forgot about them. Nobody waits for one for ever. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { openLink } from "#test/faults/world/link.ts"
import type { Link } from "#test/faults/world/link.ts"
import { postgresSplitter } from "#test/faults/world/postgres-frames.ts"
import { caughtUp, compareWithOutbox, startRelay } from "#test/support/relay.ts"
import type { RelayProcess } from "#test/support/relay.ts"
import { relayStand } from "#test/support/relay-stand.ts"
import { until } from "#test/support/until.ts"

const stand = relayStand()
let link: Link
beforeAll(async () => void (link = await openLink("relay to Postgres", stand.pg.port, postgresSplitter)))
afterAll(() => link.close())

/** The next answer to the session that has the lease, or waits for it, never arrives, nor does any later one; nothing else is touched. */
const silence = async (): Promise<void> => {
  let silent = false
  link.watch({
    pass: (frame, direction) => {
      if (silent || direction !== "down" || frame.protocol !== "postgres" || frame.application !== "tideline relay lease") return "pass"
      silent = true
      return "hold"
    },
  })
  await until(() => silent, { what: "an answer is held", deadline: 10_000 })
}

const works = (relay: RelayProcess, what: string): Promise<unknown> =>
  until(async () => (await relay.metric("tideline_relay_active")) === 1, { what, deadline: 40_000 })

it("a relay gives up a lease of which it hears nothing, and one that hears nothing while it stands by asks again", async () => {
  const behind = new URL(stand.pg.url("tide_relay"))
  behind.port = String(link.port)
  const first = await startRelay(behind.href, stand.server.url("relay"))
  await works(first, "the first works")
  const second = await startRelay(stand.pg.url("tide_relay"), stand.server.url("relay"))
  await until(async () => (await second.reasons())?.length === 0, { what: "the second stands by" })

  await silence()
  await works(second, "the second works")
  const asks = (): Promise<unknown> =>
    until(async () => (await stand.sql`
      select from pg_stat_activity where application_name = 'tideline relay lease' and query like '%pg_try_advisory_lock(tide.lease_key())%' and state = 'idle'`).length > 0, { what: "the first stands by", deadline: 40_000 })
  await asks()
  await stand.sql`insert into item values (1, 'p', 1)`
  await caughtUp(stand.sql, stand.log)

  await silence()
  await second.end("SIGKILL")
  await works(first, "the first works again")
  await stand.sql`insert into item values (2, 'p', 1)`
  await caughtUp(stand.sql, stand.log)
  expect(await compareWithOutbox(stand.sql, stand.log)).toEqual([])
  expect(await first.end("SIGTERM")).toBe(0)
}, 120_000)
