/**
 * A role of a thousand members, each with a live connection at one of two edges, loses a scope and gets it back while both are written to, with two
 * instances of authz and with none: each is told once, nobody hears of anything later than the loss, and somebody else hears of everything in order.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { EdgeStack, TestEdge } from "#test/support/edge-stack.ts"
import { startEdgeStack } from "#test/support/edge-stack.ts"
import { SocketClient } from "#test/support/socket-client.ts"
import { until } from "#test/support/until.ts"

const MEMBERS = 1_000
const AT_ONCE = 50
const LENT = "lent"
const OWN = "own"
const ROLE = "role:crowd"

let stack: EdgeStack
let edges: ReadonlyArray<TestEdge>
let stopAuthz: Array<() => Promise<void>> = []
const clients: Array<SocketClient> = []
let bystander: SocketClient
/** Sequences of what was written to the bystander's scope. */
const own: Array<number> = []

const connect = async (user: string, edge: TestEdge): Promise<SocketClient> => {
  const client = new SocketClient(edge.port)
  await client.signIn(await stack.token(user))
  await client.subscribe({ entityCode: "task" })
  return client
}

beforeAll(async () => {
  stack = await startEdgeStack({ task: "project_id" })
  stopAuthz = [await stack.startAuthz(), await stack.startAuthz()]
  const members = Array.from({ length: MEMBERS }, (_, i) => `member-${i}`)
  await stack.write(...members.map((user) => ({ entity: "_member", id: `crowd,user:${user}`, row: { role: "crowd", member: `user:${user}` } })))
  await stack.grant(ROLE, { scope: LENT })
  await stack.grant("user:bystander", { scope: OWN })
  edges = [await stack.startEdge({ drainMs: 100 }), await stack.startEdge({ drainMs: 100 })]
  bystander = await connect("bystander", edges[0]!)
  for (let i = 0; i < MEMBERS; i += AT_ONCE)
    clients.push(...(await Promise.all(members.slice(i, i + AT_ONCE).map((user, j) => connect(user, edges[j % 2]!)))))
}, 60_000)
afterAll(async () => {
  for (const client of [...clients, bystander]) client.end()
  await stack.stop()
})

/** Versions of the lent scope that a client was told, and how often it was told to forget it, since the frame at `from`. */
const heard = (client: SocketClient, from = 0) => {
  const frames = client.frames.slice(from)
  const changes = frames.flatMap((frame) => (frame.type === "CHANGES" ? frame.payload.changes : []))
  return {
    lent: changes.filter(({ scope }) => scope === LENT).map(({ version }) => version),
    others: changes.filter(({ scope }) => scope !== LENT).length,
    revoked: frames.filter((frame) => frame.type === "ACCESS_REVOKED" && frame.payload.scope === LENT).length,
    goesOn: frames.findLastIndex(({ type }) => type === "LIVE") > frames.findLastIndex(({ type }) => type === "ACCESS_REVOKED"),
  }
}

let written = 0
const write = async (): Promise<number> => {
  written += 1
  const id = String(written % 7)
  const seq = await stack.write({ entity: "task", scope: LENT, id, row: { id, n: written }, before: {} })
  own.push(await stack.write({ entity: "task", scope: OWN, id, row: { id, n: written }, before: {} }))
  return seq
}

/** Writes to both scopes until what is waited for is so. */
const writingUntil = async (what: string, so: () => boolean): Promise<void> => {
  let going = true
  const writing = (async () => {
    while (going) await write()
  })()
  try {
    await until(so, { what, deadline: 20_000, every: 20 })
  } finally {
    going = false
    await writing
  }
}

const marks = (): ReadonlyArray<number> => clients.map(({ frames }) => frames.length)
/** Everybody has heard what was written last before the loss; then nothing of what is lent is later than it. */
const nothingSince = (lost: number, from: ReadonlyArray<number>): void => {
  const late = clients.filter((client, i) => heard(client, from[i]).lent.some((version) => version >= lost))
  expect(late.length, "clients that were told of something later than the loss").toBe(0)
}

describe("a role of a thousand members", () => {
  it("loses a scope: each is told once and hears of nothing later; it is given back: each has it again", async () => {
    await writingUntil("what is written reaches everybody", () => clients.every((client) => heard(client).lent.length > 3))
    const before = marks()
    let lost = 0
    const losing = stack.revoke(ROLE, { scope: LENT }).then((seq) => (lost = seq))
    await writingUntil("everybody is told", () => clients.every((client, i) => heard(client, before[i]).revoked === 1))
    await losing
    nothingSince(lost, before)
    const after = marks()
    const given = stack.grant(ROLE, { scope: LENT })
    await writingUntil("everybody has it again", () => clients.every((client, i) => heard(client, after[i]).lent.length > 0))
    const again = await write()
    expect(await given).toBeLessThan(again)
    await until(() => clients.every((client, i) => heard(client, after[i]).lent.includes(again)), { what: "everybody hears of what is new" })
    for (const [i, client] of clients.entries()) expect(heard(client, before[i]), `member ${i}`).toMatchObject({ revoked: 1, others: 0 })
  })

  it("loses it, gets it back and loses it in the middle of that, and authz is away meanwhile: nothing is decided open, each ends without it", async () => {
    const before = marks()
    for (const stop of stopAuthz) await stop()
    let lost = await stack.revoke(ROLE, { scope: LENT })
    const first = lost
    await writingUntil("they are told to wait", () => clients.some((client, i) => client.frames.slice(before[i]).some((frame) => frame.type === "ERROR")))
    nothingSince(lost, before)
    await stack.startAuthz()
    await stack.startAuthz()
    await stack.grant(ROLE, { scope: LENT })
    lost = await stack.revoke(ROLE, { scope: LENT })
    await writingUntil("everybody is told, and goes on", () => clients.every((client, i) => heard(client, before[i]).revoked > 0 && heard(client, before[i]).goesOn))
    nothingSince(lost, before)
    expect(lost).toBeGreaterThan(first)
    for (const [i, client] of clients.entries()) expect(heard(client, before[i]).revoked, `member ${i}`).toBeLessThanOrEqual(2)
  })

  it("is no hindrance to somebody else, who heard of everything in order", async () => {
    await until(() => bystander.position >= own.at(-1)!, { what: "the bystander has everything" })
    const versions = bystander.frames.flatMap((frame) => (frame.type === "CHANGES" ? frame.payload.changes.map(({ version }) => version) : []))
    expect(versions).toEqual(own)
    expect(bystander.frames.filter((frame) => frame.type === "LIVE" || frame.type === "ERROR")).toHaveLength(1)
  })
})
