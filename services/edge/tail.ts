/**
 * The edge's one reader of CHANGES: takes messages in order from nats/log.ts, makes them whole transactions, puts them into the ring and
 * hands them to those who are live. Access events stop whom they touch before the position moves over them.
 *
 * It begins some way before the end, so that the ring covers those who were connected a moment ago. If the log turns out not to be the
 * one that was followed, or a new epoch begins, all that was built on it is void: `lost` says so, and edge.ts begins anew.
 */
import { Result, Schema } from "effect"
import { Epoch } from "#protocol/epoch.ts"
import { BATCH_BYTES, BATCH_MESSAGES } from "#protocol/limits.ts"
import { nowMs } from "#observe/metrics.ts"
import { isAccessEntity } from "#protocol/subject.ts"
import type { Following, LogMessage } from "#nats/log.ts"
import { Accesses } from "./access.ts"
import { Commands } from "./command.ts"
import type { Connection } from "./connection.ts"
import { Entities } from "./entities.ts"
import { Epochs } from "./epochs.ts"
import { Event } from "./event.ts"
import { Live } from "./live.ts"
import { metrics, observeLags } from "./metrics.ts"
import { Ring } from "./ring.ts"
import { SignOuts } from "./sign-outs.ts"
import { Touches } from "./touches.ts"
import type { Piece } from "./transactions.ts"
import { Transactions } from "./transactions.ts"
import type { Services, World } from "./world.ts"

export interface Tail {
  readonly world: World
  /** Whether everything that the log held has been taken. */
  readonly current: () => boolean
  readonly stop: () => Promise<void>
}

const decodeEpoch = Schema.decodeUnknownResult(Schema.fromJsonString(Epoch))

/** Sets the reader up. Rejects with a `LogError`. `lost` is called at most once. */
export const openTail = async (services: Services, lost: (why: string) => void): Promise<Tail> => {
  const { log, requests, now } = services
  const head = await log.head()
  const epochs = new Epochs(await log.epochs())
  const entities = new Entities()
  const { position: entitiesAt } = await log.readState({
    patterns: [{ scope: null, entity: "_entity", id: null }],
    after: 0,
    page: (messages) => messages.forEach((message) => entities.apply(message)),
  })
  const from = Math.max(1, head.first, head.last - services.warmEvents + 1)
  const ring = new Ring(from - 1, services.ring)
  const touches = new Touches<Connection>(from - 1)
  const signOuts = new SignOuts<Connection>(from - 1)
  const live = new Live()
  const waiting = new Waiting()
  let isCurrent = false
  let isLost = false
  let following: Following | null = null

  const lose = (why: string): void => {
    if (isLost) return
    isLost = true
    lost(why)
  }

  const system = (message: LogMessage): void => {
    const { entity } = message.address
    if (entity === "_entity" && message.seq > entitiesAt) entities.apply(message)
    if (entity !== "_epoch" || epochs.has(message.address.id)) return
    const epoch = decodeEpoch(message.body)
    if (Result.isFailure(epoch)) return lose("an epoch that cannot be read")
    // The first one begins what was empty: nobody can have built on it yet.
    if (epochs.current !== null) return lose(`epoch ${epoch.success.id} begins: ${epoch.success.reason}`)
    epochs.add(epoch.success)
  }

  const piece = (piece: Piece): void => {
    if (isLost) return
    const { messages, end } = piece
    const events: Array<Event> = []
    let access: Array<LogMessage> | null = null
    let left: Array<LogMessage> | null = null
    for (const message of messages) {
      const { entity } = message.address
      if (entity.charCodeAt(0) !== UNDERSCORE) events.push(new Event(message, end))
      else if (isAccessEntity(entity)) {
        if (entity === "_sign_out") (left ??= []).push(message)
        else (access ??= []).push(message)
        events.push(new Event(message, end))
      } else system(message)
    }
    if (isLost) return
    // Whom it ends or touches stops where the edge still is.
    if (left !== null) for (const connection of signOuts.note(end, left)) connection.signedOut()
    if (access !== null) {
      const touched = touches.note(end, access)
      if (touched.size > 0) live.settle()
      for (const connection of touched) connection.touched(end)
    }
    ring.push(events, end)
    touches.trim(ring.floor)
    signOuts.trim(ring.floor)
    live.dispatch(piece, events)
    waiting.reached(end)
    metrics.events.add(events.length)
    if (isCurrent && events.length > 0) observeLags(metrics.dispatchedLag, events[0]!.message.at, nowMs(), events.length)
  }

  const transactions = new Transactions({ messages: BATCH_MESSAGES, bytes: BATCH_BYTES }, piece)
  following = await log.follow({
    from,
    message: (message) => transactions.message(message),
    event: (event) => {
      switch (event.type) {
        case "current":
          isCurrent = true
          return
        case "unreadable":
          return transactions.passed(event.seq)
        case "reset":
          return lose(event.message)
        case "silent":
          return
      }
    },
  })

  const world: World = {
    ...services,
    accesses: new Accesses(requests, services.turns),
    epochs,
    entities,
    knowsEntities: () => entities.any && !epochs.settling(now()),
    commands: new Commands(requests),
    ring,
    live,
    touches,
    signOuts,
    lagMs: () => Math.max(0, Math.round(now() - (following?.heardAt() ?? now()))),
    reach: (position, withinMs) => (ring.head >= position ? Promise.resolve(true) : waiting.wait(position, withinMs)),
  }
  return {
    world,
    current: () => isCurrent && !isLost,
    stop: async () => {
      isLost = true
      waiting.reached(Number.POSITIVE_INFINITY)
      await following.stop()
    },
  }
}

const UNDERSCORE = 95

/** Those who wait for a position. */
class Waiting {
  #all: Array<{ readonly position: number; readonly resume: (reached: boolean) => void }> = []

  wait(position: number, withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#all = this.#all.filter((one) => one !== entry)
        resolve(false)
      }, withinMs)
      const entry = {
        position,
        resume: (reached: boolean) => {
          clearTimeout(timer)
          resolve(reached)
        },
      }
      this.#all.push(entry)
    })
  }

  reached(position: number): void {
    if (this.#all.length === 0) return
    const ready = this.#all.filter((one) => one.position <= position)
    if (ready.length === 0) return
    this.#all = this.#all.filter((one) => one.position > position)
    for (const one of ready) one.resume(true)
  }
}
