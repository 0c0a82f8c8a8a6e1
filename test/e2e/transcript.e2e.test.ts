/** The transcript in protocol/README.md, replayed against the running whole: what the page says is what happens. */
import { readFileSync } from "node:fs"
import postgres from "postgres"
import { afterAll, beforeAll, expect, it } from "vitest"
import { WebSocket } from "ws"
import { SUBPROTOCOL } from "#protocol/version.ts"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { until } from "#test/support/until.ts"
import { fits, parseTranscript } from "./transcript.ts"

const transcript = parseTranscript(readFileSync(new URL("../../protocol/README.md", import.meta.url), "utf8"))

let stack: TestStack
let sql: postgres.Sql
beforeAll(async () => {
  stack = await startStack({ edges: 1 })
  sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => undefined })
  await sql.unsafe(`
    create schema transcript;
    create table transcript.note (id text primary key, project text not null, body text not null, lines int not null default 1);
    insert into transcript.note values ('n1', 'transcript', 'first'), ('hidden', 'elsewhere', 'nobody''s business');
    select tide.track('transcript.note', entity => 'note', scope => 'project');
    select tide.backfill('transcript.note');
    select authz.grant_access(principal => 'user:linus', scope => 'transcript', level => 'EDIT');
  `)
})
afterAll(async () => {
  await sql?.end()
  await stack?.stop()
})

it("happens as it is written", async () => {
  await served(stack)
  const socket = new WebSocket(`${stack.edgeUrls[0]!.replace("http", "ws")}/ws`, SUBPROTOCOL)
  const inbox = mailbox(socket)
  await inbox.opened
  const differences: Array<string> = []
  for (const line of transcript) {
    if (line.kind === "send") {
      const frame = line.frame["type"] === "AUTH" ? { ...line.frame, payload: { token: await stack.token("linus") } } : line.frame
      socket.send(JSON.stringify(frame))
    } else if (line.kind === "sql") await sql.unsafe(line.statement)
    else if (line.kind === "closed") differences.push(...different([line.code], await inbox.closed))
    else {
      const waiting = [...line.frames]
      while (waiting.length > 0) {
        const got = await inbox.next()
        differences.push(...different(waiting, got))
        waiting.splice(waiting.findIndex((said) => fits(said, got)), 1)
      }
    }
  }
  expect(differences).toEqual([])
})

const different = (said: ReadonlyArray<unknown>, got: unknown): ReadonlyArray<string> =>
  said.some((one) => fits(one, got)) ? [] : [`written: ${said.map((one) => JSON.stringify(one)).join(" or ")}; came: ${JSON.stringify(got)}`]

/** Waits until the edge serves what was just tracked: the transcript begins with a client, not with an operator. */
const served = async ({ edgeUrls, token }: TestStack): Promise<void> => {
  const headers = { authorization: `Bearer ${await token("linus")}` }
  await until(async () => (await fetch(`${edgeUrls[0]}/v1/note/n1`, { headers })).ok, { what: "the edge serves the note" })
}

/** Frames in the order they came. Heartbeats come when they like, so they are left out. */
const mailbox = (socket: WebSocket) => {
  const frames: Array<unknown> = []
  let wake: () => void = () => undefined
  socket.on("message", (data) => {
    const frame = JSON.parse(String(data)) as { type: string }
    if (frame.type === "HEARTBEAT") return
    frames.push(frame)
    wake()
  })
  return {
    opened: new Promise<void>((resolve, reject) => socket.once("open", () => resolve()).once("error", reject)),
    closed: new Promise<number>((resolve) => socket.once("close", resolve)),
    next: async (): Promise<unknown> => {
      if (frames.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      return frames.shift()
    },
  }
}
