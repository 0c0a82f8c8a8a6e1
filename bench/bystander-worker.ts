/** One client in a process of its own, and the writer of what it follows: how long each change takes from the one to the other. */
import postgres from "postgres"
import { setTimeout as after } from "node:timers/promises"
import type { Client } from "./client.ts"
import { openClient } from "./client.ts"
import { serve } from "./worker.ts"

export interface Following {
  readonly databaseUrl: string
  readonly edgeUrl: string
  readonly token: string
  /** The scope that it follows; rows of it get ids from `from` on. */
  readonly scope: string
  readonly from: number
  readonly perSecond: number
}

interface Watch {
  readonly stop: () => Promise<ReadonlyArray<number>>
}

let client: Client | null = null
let watch: Watch | null = null
let written = 0

/** Connections that write: a commit waits for the disk longer than there is time until the next. */
const WRITERS = 4
let writers: ReadonlyArray<postgres.Sql> = []

const follow = (of: Following): Watch => {
  const sentAt = new Map<string, number>()
  const delays: Array<number> = []
  let going = true
  client!.onChanges((text, at) => {
    for (const [, mark] of text.matchAll(/mark-(\d+)-/g)) {
      const sent = sentAt.get(mark!)
      if (sent === undefined) continue
      sentAt.delete(mark!)
      delays.push(at - sent)
    }
  })
  const write = async (): Promise<void> => {
    const due = performance.now()
    const running: Array<Promise<unknown>> = []
    for (let i = 0; going; i++) {
      const early = due + (i * 1000) / of.perSecond - performance.now()
      if (early > 0.5) await after(early)
      const n = ++written
      sentAt.set(String(n), performance.now())
      running.push(writers[n % WRITERS]!`insert into bench.item values (${of.from + n}, ${of.scope}, ${`mark-${n}-`}, 0)`.execute())
    }
    await Promise.all(running)
  }
  const writing = write()
  return {
    stop: async () => {
      going = false
      await writing
      while (sentAt.size > 0) await after(10)
      return delays
    },
  }
}

const jobs = {
  /** Connects, and begins to write. */
  begin: async (of: Following): Promise<void> => {
    client ??= await openClient(of.edgeUrl, of.token)
    if (writers.length === 0) {
      writers = Array.from({ length: WRITERS }, () => postgres(of.databaseUrl, { max: 1, onnotice: () => {} }))
      await Promise.all(writers.map((sql) => sql`select 1`))
    }
    watch = follow(of)
  },
  /** Stops writing; milliseconds from the sending of each write to its change, parsed. */
  end: async (): Promise<ReadonlyArray<number>> => {
    const delays = await watch!.stop()
    watch = null
    return delays
  },
}
export type BystanderJobs = typeof jobs

serve(jobs)
