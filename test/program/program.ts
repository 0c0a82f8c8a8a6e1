/**
 * The program: steps by chance, one after the other begun and none waited for; rows are written, access is given and taken by SQL and by
 * users, users are signed out, clients come, go, ask for other things, stall and write by mutation, services die. At a checkpoint all that is under way ends, a tick is written, and
 * when every client that is there is live at or past it, documents are compared with Postgres (oracle.ts) and frames with the log (judge.ts).
 */
import type { Sql } from "#db/postgres.ts"
import type { Nats } from "#nats/connection.ts"
import type { Log } from "#nats/log.ts"
import { CHANGES } from "#nats/streams.ts"
import { changeSubject } from "#protocol/subject.ts"
import { openConnection } from "#test/faults/world/connection.ts"
import type { Random } from "#test/support/random.ts"
import { randomFrom } from "#test/support/random.ts"
import { until } from "#test/support/until.ts"
import type { Front } from "./front.ts"
import { History } from "./history.ts"
import type { Counts } from "./judge.ts"
import { Judge, noCounts } from "./judge.ts"
import { canonical, differences, truthFor } from "./oracle.ts"
import type { Asked, Read, Sent, Token, Wished } from "./recording.ts"
import { Rights } from "./rights.ts"
import { Statements } from "./statements.ts"
import { CARDS, LINES, NOTICES, OWN, ROOMS, SCOPES, TYPES, USERS } from "./tables.ts"
import type { Type } from "./tables.ts"
import { Watcher } from "./watcher.ts"

export interface ProgramOptions {
  readonly seed: number
  /** As superuser. */
  readonly databaseUrl: string
  readonly sql: Sql
  readonly nats: Nats
  readonly log: Log
  readonly front: Front
  /** What else may die in the middle: begun, and ended by what it answers. None: nothing dies. */
  readonly trouble: ReadonlyArray<(random: Random) => Promise<() => Promise<void>>>
  /** Postgres may be away: a transaction that failed for that is none that is wrong. And nothing is granted that runs out, so that all is quiet as soon as nothing is under way. */
  readonly faulty?: boolean
}

/** What a check found wrong, by the promise that it breaks. */
export interface Findings {
  /** Documents are not what Postgres says, or a client does not get there. */
  readonly converges: ReadonlyArray<string>
  /** A frame or an answer over HTTP told what it should not, or not what it should. */
  readonly frames: ReadonlyArray<string>
  /** A mutation is in the log that should not be, or is not and should. */
  readonly writes: ReadonlyArray<string>
  /** What nobody had asked for. */
  readonly surprises: ReadonlyArray<string>
}

export const everything = ({ converges, frames, writes, surprises }: Findings): ReadonlyArray<string> => [...converges, ...frames, ...writes, ...surprises]

export interface Program {
  /** One more; resolves when there is room for the next. */
  readonly step: () => Promise<void>
  readonly steps: () => number
  /** Resolves when nothing is under way any more that could write. */
  readonly quiet: () => Promise<void>
  /** All is quiet, and everything is compared. `everybody`: those who were away come back first. `anew`: the log lost something, so what clients were told before it is held against nothing. */
  readonly checkpoint: (check: { readonly everybody: boolean; readonly anew?: boolean }) => Promise<Findings>
  readonly counts: () => Counts & { readonly oracle: number; readonly refused: number; readonly refusedTokens: number; readonly troubles: number }
  readonly close: () => Promise<void>
}

/** Clients of each user. */
const CLIENTS = 3
/** Connections that write, and transactions that may be under way at once. */
const LANES = 6
const UNDER_WAY = 10
/** Frames that are named where a client did not become live. */
const TOLD = 12
/** Milliseconds for everything under way to end, and for clients to be live after that. */
const QUIET_MS = 60_000
/** Tokens at most that are shown to each edge at a checkpoint, after they were ended. */
const REFUSED = 6
/** Steps between two checkpoints. */
export const CHECKPOINT = 1_000
/** Steps between two troubles, on average, in the first part of the way to the next checkpoint: what died has time to come back. */
const TROUBLE_EVERY = 350

/** Another transaction was in the way, or a rule of the tables: to be expected of statements by chance. */
const EXPECTED = new Set(["40P01", "40001", "23503", "23505", "23514", "55P03"])

export const openProgram = async (options: ProgramOptions): Promise<Program> => {
  const { seed, sql, front, log, nats, trouble, faulty = false } = options
  const random = randomFrom(seed)
  const statements = new Statements(random, !faulty)
  const writers = openConnection(options.databaseUrl, "program", undefined, LANES)
  let history = new History(log)
  let rights = new Rights()
  let judge = new Judge(history, rights)
  const before: Counts = noCounts()
  /** What each user shows over HTTP; each client has a session of its own. */
  const tokens = new Map<string, Token>(await Promise.all(USERS.map(async (user) => [user, await front.signIn(user)] as const)))
  let count = 0
  const watchers = await Promise.all(USERS.flatMap((user, i) =>
    Array.from({ length: CLIENTS }, async (_, n) => new Watcher(`${user}-${n + 1}`, user, await front.signIn(user), front, randomFrom(seed * 1_000 + i * CLIENTS + n), () => count)),
  ))
  /** Tokens that are no longer used, because they were refused or may be. */
  let left: Array<Token> = []
  const underWay = new Set<Promise<unknown>>()
  /** Of these, the ones that wait for Postgres alone. What waits for a service that is held still must not keep back the step that lets it go on. */
  const writing = new Set<Promise<unknown>>()
  const sent = new Map<string, Sent>()
  const wished = new Map<string, Wished>()
  let reads: Array<Read> = []
  let due: Array<{ readonly at: number; readonly run: () => void }> = []
  let surprises: Array<string> = []
  let troubles: Array<() => Promise<void>> = []
  let refused = 0
  let refusedTokens = 0
  let compared = 0
  let struck = 0
  let ticks = 0
  const unanswered = new Map<string, readonly [sent: Sent | Wished, again: () => Promise<void>]>()

  const begin = (work: Promise<unknown>): Promise<unknown> => {
    const tracked: Promise<unknown> = work.catch((cause: unknown) => void surprises.push(`step ${count}: ${(cause as Error).message}`)).finally(() => {
      underWay.delete(tracked)
      writing.delete(tracked)
    })
    underWay.add(tracked)
    return tracked
  }
  /** Several statements are one transaction. */
  const write = (text: string): void =>
    void writing.add(
      begin(
        writers.unsafe(text).catch((cause: Error & { code?: string }) => {
          refused += 1
          if (!EXPECTED.has(cause.code ?? "") && !(faulty && isAway(cause.code))) throw new Error(`${text}: ${cause.message}`, { cause })
        }),
      ),
    )
  const later = (steps: number, run: () => void): void => void due.push({ at: count + steps, run })

  // --- clients --------------------------------------------------------------------------------------------------------------

  const wish = (): Asked => {
    if (random.chance(0.1)) return { entity: random.chance(0.4) ? "room" : random.pick(OWN), scopes: null, ids: null }
    const entity = random.pick(TYPES)
    const all = entity === "card" ? CARDS : entity === "line" ? LINES : NOTICES
    return {
      entity,
      scopes: entity !== "notice" && random.chance(0.25) ? random.shuffle(SCOPES).slice(0, 1 + random.int(3)) : null,
      ids: random.chance(0.2) ? random.shuffle(all).slice(0, 1 + random.int(12)) : null,
    }
  }
  /** Away for some steps, for hundreds, or for longer. */
  const absence = (): number => {
    const kind = random.next()
    return kind < 0.5 ? 5 + random.int(50) : kind < 0.85 ? 100 + random.int(300) : 800 + random.int(800)
  }
  const leave = (watcher: Watcher): void => {
    if (!watcher.wanted) return
    watcher.disconnect(random.chance(0.3))
    later(absence(), () => watcher.connect())
  }
  const change = (watcher: Watcher): void => {
    const here = watcher.asked.filter(({ entity }) => entity !== "tick")
    if (here.length === 0 || (here.length < 5 && random.chance(0.65))) return watcher.subscribe(wish())
    const { entity, ids } = random.pick(here)
    watcher.unsubscribe(entity, ids !== null && random.chance(0.6) ? random.shuffle(ids).slice(0, 1 + random.int(ids.length)) : null)
  }

  // --- mutations ------------------------------------------------------------------------------------------------------------

  /** Over HTTP, to any edge; null where there was no good answer. Whoever is refused signs in again. */
  const ask = async (user: string, path: string, body: unknown): Promise<unknown> => {
    const token = tokens.get(user)!
    const answer = await fetch(`http://127.0.0.1:${random.pick(front.edges).port}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token.text}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(QUIET_MS),
    }).catch(() => null)
    if (answer?.status === 401) await renew(token)
    return answer?.ok === true ? answer.json() : null
  }
  const renew = async (refused: Token): Promise<void> => {
    if (tokens.get(refused.user) === refused) tokens.set(refused.user, await front.signIn(refused.user))
  }
  const post = async (mutation: Sent, body: unknown): Promise<void> => {
    mutation.times += 1
    const answer = (await ask(mutation.user, "/v1/mutations", { mutations: [body] })) as { readonly results: ReadonlyArray<{ readonly status: string }> } | null
    for (const { status } of answer?.results ?? []) mutation.answers.push(status)
  }
  const mutate = (): void => {
    const watcher = random.pick(watchers)
    const { user, replica } = watcher
    const any = random.chance(0.1) ? "room" : random.pick(TYPES)
    const held = random.chance(0.6) ? [...replica.rows().keys()].filter((key) => !/^(tick|_\w+)\//.test(key)) : []
    const [entity, entityId] = (held.length > 0 ? random.pick(held) : `${any}/${random.pick(any === "card" ? CARDS : any === "line" ? LINES : any === "room" ? ROOMS : NOTICES)}`).split("/") as [Type | "room", string]
    const op = entity === "room" && random.chance(0.6) ? "create" : random.pick(["create", "update", "update", "update", "delete"] as const)
    const seenBody = replica.rows().get(`${entity}/${entityId}`)
    const seenRow = seenBody === undefined ? {} : (JSON.parse(seenBody) as { n?: number; scope?: string })
    const scope = seenRow.scope !== undefined && random.chance(0.7) ? seenRow.scope : random.pick(SCOPES)
    const n = (seenRow.n ?? 0) + 1
    const data =
      op === "delete" ? undefined
      : entity === "room" ? { name: `by ${user} ${count}` }
      : entity === "notice" ? { body: `by ${user} ${count}` }
      : entity === "card" ? (op === "create" ? { scope, title: `by ${user}` } : random.chance(0.3) ? { scope } : { n, title: `by ${user} ${count}` })
      : op === "create" ? { scope, card: random.pick(CARDS) } : { n }
    const base = op === "update" && "n" in (data ?? {}) && seenRow.n !== undefined && random.chance(0.3) ? { n: seenRow.n } : undefined
    const id = `${seed}-${count}`
    const mutation: Sent = { step: count, id, user, entity, entityId, op, times: 0, answers: [] }
    const body = { id, entityCode: entity, entityId, op, ...(data === undefined ? {} : { data }), ...(base === undefined ? {} : { base }) }
    sent.set(id, mutation)
    unanswered.set(id, [mutation, () => post(mutation, body)])
    const over = random.chance(0.7) && watcher.mutate(mutation, body)
    if (over) mutation.times += 1
    if (!over || random.chance(0.1)) begin(post(mutation, body))
  }

  // --- access ---------------------------------------------------------------------------------------------------------------

  const submit = (user: string, change: Wished["change"]): void => {
    const id = `${seed}-${count}`
    const one: Wished = { step: count, id, user, change, times: 0, answers: [] }
    const again = async (): Promise<void> => {
      one.times += 1
      const answer = (await ask(user, "/v1/access", { id, ...change })) as { readonly status: string } | null
      if (answer !== null) one.answers.push(answer.status)
    }
    wished.set(id, one)
    unanswered.set(id, [one, again])
    begin(again())
    if (random.chance(0.1)) begin(again())
  }
  /** Of one session, that of a client or of what goes over HTTP, or of all; by an operator, by themselves, or by somebody who may not. */
  const signOut = (): void => {
    const watcher = random.pick(watchers)
    const { user } = watcher
    const token = random.chance(0.3) ? tokens.get(user)! : watcher.token
    const session = random.chance(0.5) ? token.session : null
    left.push(token)
    const kind = random.next()
    if (kind < 0.4) return write(random.chance(0.5) ? statements.signOut(user, session) : [statements.access(), statements.signOut(user, session), statements.row()].join("; "))
    submit(kind < 0.75 ? user : random.pick(USERS), { type: "sign-out", user, session })
  }

  // --- reading --------------------------------------------------------------------------------------------------------------

  const read = (): void => {
    const watcher = random.pick(watchers)
    const standing = watcher.standing
    const edge = standing?.edge ?? random.pick(front.edges)
    const entity = random.pick(TYPES)
    const id = random.pick(entity === "card" ? CARDS : entity === "line" ? LINES : NOTICES)
    const url = `/v1/${entity}${random.pick([`?limit=200`, `?scope=${random.pick(SCOPES)}&limit=200`, `/${id}`, `/${id}/history`])}`
    const token = tokens.get(watcher.user)!
    const asking = fetch(`http://127.0.0.1:${edge.port}${url}`, { headers: { authorization: `Bearer ${token.text}` }, signal: AbortSignal.timeout(QUIET_MS) })
      .then(async (r) => ({ status: r.status, text: await r.text() }))
      .then(async ({ status, text }) => {
        if (status === 401) await renew(token)
        // The edge that answered must be the one that told the client where it stands, not one that took its place.
        const same = standing !== null && watcher.standing?.edge === edge
        reads.push({ step: count, user: watcher.user, token, url, status, text, position: same ? standing.position : 0, at: Date.now() })
      })
      .catch(() => undefined)
    begin(asking)
  }

  // --- trouble --------------------------------------------------------------------------------------------------------------

  const strike = (): void => {
    const one = random.pick(trouble)
    const length = 10 + random.int(200)
    begin(
      one(random).then((end) => {
        let over = false
        const once = async (): Promise<void> => {
          if (over) return
          over = true
          await end()
        }
        struck += 1
        troubles.push(once)
        later(length, () => void begin(once()))
      }),
    )
  }

  // --- steps ----------------------------------------------------------------------------------------------------------------

  const kinds: ReadonlyArray<readonly [weight: number, run: () => void]> = [
    [30, () => write(statements.row())],
    [8, () => write(statements.several())],
    [17, () => write(statements.access())],
    [4, () => write(statements.twice())],
    [7, () => write(statements.mixed())],
    [16, mutate],
    [6, () => change(random.pick(watchers))],
    [4, () => leave(random.pick(watchers))],
    [2, () => {
      const watcher = random.pick(watchers)
      watcher.stall()
      later(20 + random.int(150), () => watcher.resume())
    }],
    [4, read],
    [4, () => submit(random.chance(0.5) ? "ada" : random.pick(USERS), statements.wish())],
    [0.5, signOut],
    [1, () => write(statements.close())],
  ]
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0)

  const step = async (): Promise<void> => {
    count += 1
    const now = due.filter(({ at }) => at <= count)
    if (now.length > 0) {
      due = due.filter(({ at }) => at > count)
      for (const { run } of now) run()
    }
    if (trouble.length > 0 && count % CHECKPOINT < 0.6 * CHECKPOINT && random.chance(1 / TROUBLE_EVERY)) strike()
    let place = random.next() * total
    for (const [weight, run] of kinds) {
      place -= weight
      if (place < 0) {
        run()
        break
      }
    }
    if (writing.size >= UNDER_WAY) await Promise.race(writing)
    // Sockets and timers have their turn.
    else if (count % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
  }

  // --- checkpoints ----------------------------------------------------------------------------------------------------------

  const tick = async (): Promise<number> => {
    const v = ++ticks
    await sql`update program.tick set v = ${v}`
    return until(async () => {
      const newest = await nats.jetstream.streams.getMessage(CHANGES, { last_by_subj: TICK })
      return newest !== null && newest.json<{ v: number }>().v === v ? newest.seq : null
    }, { what: "the tick is in the stream", deadline: QUIET_MS, every: 20 })
  }

  const quiet = async (): Promise<void> => {
    while (troubles.length > 0) await troubles.shift()!()
    while (underWay.size > 0) await Promise.all(underWay)
    for (const [id, [{ answers }]] of unanswered) if (answers.length > 0) unanswered.delete(id)
    if (unanswered.size === 0) return
    await ready()
    // What was not answered is sent again until it is, as any client does; so none is under way after this.
    for (const [{ id, answers }, again] of unanswered.values()) {
      await until(async () => {
        await again()
        return answers.length > 0
      }, { what: `mutation or change ${id} is answered`, deadline: QUIET_MS, every: 100 })
    }
    unanswered.clear()
  }
  const ready = async (): Promise<void> => {
    await Promise.all(front.all.map(async (station) => {
      station.resume()
      await station.start()
      await station.ready()
    }))
  }

  /** Where somebody stands by their own account, for a judge that has seen nothing of them. */
  const introduce = ({ client, replica, asked }: Watcher): void => {
    const held = [...replica.documents].map(([key, { version, scope }]) => {
      const [entity, id] = key.split("/") as [string, string]
      return { at: { scope, entity, id }, version }
    })
    judge.introduce(client, replica.stored, asked, held)
  }

  /** What was signed out is refused by every edge; those that nobody watches may have to hear of it first. */
  const refusals = async (): Promise<ReadonlyArray<string>> => {
    const ended = left.filter((token) => rights.ended(token) !== null).slice(-REFUSED)
    left = []
    const wrong: Array<string> = []
    await Promise.all(front.edges.flatMap(({ name, port }) => ended.map(async ({ user, session, text }) => {
      let answer = 0
      await until(async () => {
        answer = (await fetch(`http://127.0.0.1:${port}/v1/tick`, { headers: { authorization: `Bearer ${text}` } })).status
        return answer === 401
      }, { what: "it is refused", deadline: QUIET_MS, every: 50 }).then(() => void (refusedTokens += 1), () => wrong.push(`step ${count}: ${name} answers ${answer} to ${session} of ${user}, who is signed out of it`))
    })))
    return wrong
  }

  const checkpoint: Program["checkpoint"] = async ({ everybody, anew = false }) => {
    const converges: Array<string> = []
    const writes: Array<string> = []
    await quiet()
    await ready()
    for (const watcher of watchers) {
      watcher.resume()
      if (everybody) watcher.connect()
    }
    await until(async () => {
      const [row] = await sql<Array<{ left: number }>>`select count(*)::int as left from authz.grants where expires_at is not null`
      return row!.left === 0
    }, { what: "what expires has expired", deadline: QUIET_MS, every: 50 })
    const position = await tick()
    const present = watchers.filter((watcher) => watcher.wanted)
    // All at once: where many do not get there, that is told after one deadline.
    await Promise.all(present.map(async (watcher) => {
      // By the document, not by the position: after a loss numbers are used again.
      const told = (): boolean => watcher.replica.live && watcher.replica.position >= position && watcher.replica.documents.get("tick/0")?.body.includes(`"v":${ticks}`) === true
      await until(told, { what: "live", deadline: QUIET_MS }).catch(() => {
        converges.push(`step ${count}, ${watcher.client}: not live at ${position}: stands at ${watcher.replica.position}, ${watcher.replica.live ? "live" : "not live"}, its connections ended with ${watcher.endings.slice(-5).join(", ") || "nothing"}; last told ${watcher.replica.received.slice(-TOLD).map((frame) => JSON.stringify(frame).slice(0, 160)).join(" ")}`)
      })
    }))
    if (anew) {
      for (const [name, n] of Object.entries(judge.counts)) before[name as keyof Counts] += n
      history = new History(log)
      rights = new Rights()
      judge = new Judge(history, rights)
      reads = []
      sent.clear()
      wished.clear()
      for (const watcher of watchers) {
        watcher.take()
        introduce(watcher)
      }
    }
    const judged = anew ? Number.POSITIVE_INFINITY : history.head
    await history.read((message) => rights.apply(message))
    for (const watcher of present) {
      const truth = await truthFor(sql, watcher.user, watcher.asked)
      compared += 1
      const is = new Map([...watcher.replica.documents].map(([key, { scope, body }]) => [key, `${scope} ${canonical(JSON.parse(body))}`]))
      const differs = differences(is, truth)
      if (differs.length === 0) continue
      converges.push([
        `step ${count}, ${watcher.client} (${watcher.user}), who asks for ${JSON.stringify(watcher.asked)}, differs from Postgres at ${position}:`,
        ...differs.slice(0, 5).flatMap((what) => [`  ${what}`, ...history.around(/ (\S+\/[^\s:]+)/.exec(what)?.[1] ?? "", history.head).map((line) => `    ${line}`)]),
        ...rights.around(watcher.user, history.head).map((line) => `    ${watcher.user} ${line}`),
      ].join("\n"))
    }
    const manners = watchers.flatMap(({ client, replica }) => replica.complaints.splice(0).map((what) => `step ${count}, ${client}: ${what}`))
    for (const watcher of watchers) {
      judge.client(watcher.client, watcher.user, watcher.take())
      watcher.replica.received.length = 0
    }
    for (const one of reads) judge.read(one)
    reads = []
    const frames = [...(anew ? [] : manners), ...judge.take(), ...(await refusals())]
    const applied = judge.mutations(sent, judged)
    writes.push(...judge.take())
    for (const { id, answers, step: at, user } of sent.values()) {
      if (answers.includes("applied") && !applied.has(id)) writes.push(`step ${at}, mutation ${id} by ${user}: answered applied, and is not in the log`)
    }
    sent.clear()
    judge.changes(wished, judged)
    writes.push(...judge.take())
    wished.clear()
    const found = { converges, frames, writes, surprises: [...surprises, ...front.all.flatMap((station) => [...station.surprises()])] }
    surprises = []
    return found
  }

  // Nobody can ask for what an edge has not heard of yet.
  for (const { name, port } of front.edges) {
    await until(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/schema`, { headers: { authorization: `Bearer ${tokens.get("ada")!.text}` } })
      return (await answer.text()).includes('"tick"')
    }, { what: `${name} knows the tables`, deadline: QUIET_MS, every: 50 })
  }
  for (const watcher of watchers) {
    for (let i = 0; i < 2; i++) watcher.subscribe(wish())
    watcher.connect()
  }
  return {
    step,
    steps: () => count,
    quiet,
    checkpoint,
    counts: () => ({ ...sum(before, judge.counts), oracle: compared, refused, refusedTokens, troubles: struck }),
    close: async () => {
      for (const watcher of watchers) watcher.disconnect(false)
      await Promise.allSettled(underWay)
      await writers.end({ timeout: 1 })
    },
  }
}

const sum = (a: Counts, b: Counts): Counts => Object.fromEntries(Object.entries(a).map(([name, n]) => [name, n + b[name as keyof Counts]])) as unknown as Counts

/** Postgres is not there: a shutdown, a lost connection. */
const isAway = (code: string | undefined): boolean => code === undefined || !/^[0-9A-Z]{5}$/.test(code) || /^(57|08)/.test(code)

const TICK = changeSubject({ scope: null, entity: "tick", id: "0" })
