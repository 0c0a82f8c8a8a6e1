/** Waits for a step: sets its trap on the links of both relays, provokes it, and says when and where it is. */
import { setTimeout as after } from "node:timers/promises"
import type { Random } from "#test/support/random.ts"
import { loseTail } from "../kinds/loss.ts"
import type { Link } from "../world/link.ts"
import type { Relay } from "../world/relay.ts"
import type { World } from "../world/world.ts"
import type { Step } from "./step.ts"

/** The loop stands at the step, as long as nobody lets it go on. */
export interface Moment {
  /** The relay that is at the step. */
  readonly relay: Relay
  /** The step came. False: it did not within the time, and this is some moment. */
  readonly reached: boolean
  /** What was held goes on its way. */
  readonly release: () => void
  /** What was held is lost with its connection. */
  readonly drop: () => void
}

/** Milliseconds to wait for a step. */
const STEP_MS = 15_000
/** Milliseconds within which a fault without a step strikes. */
const ANYWHERE_MS = 300

export const arm = async (world: World, step: Step, random: Random): Promise<Moment> => {
  const nothing = { release: () => undefined, drop: () => undefined }
  if (step.trap === null) {
    await after(random.int(ANYWHERE_MS))
    return { relay: await world.active(), reached: true, ...nothing }
  }
  const makeTrap = step.trap(random)
  const links: ReadonlyArray<readonly [Relay, Link]> = world.relays.flatMap((relay) => [[relay, relay.links.postgres] as const, [relay, relay.links.nats] as const])
  const clear = (): void => links.forEach(([, link]) => link.watch(null))
  const sprung = new Promise<Moment>((resolve) => {
    let over = false
    const spring = (relay: Relay, link: Link): void => {
      if (over) return
      over = true
      clear()
      resolve({ relay, reached: true, release: link.release, drop: link.drop })
    }
    const traps = new Map(world.relays.map((relay) => [relay, makeTrap()]))
    for (const [relay, link] of links) {
      const trap = traps.get(relay)!
      link.watch({
        pass: (frame, direction) => {
          if (over) return "pass"
          const verdict = trap.pass(frame, direction)
          // The link must have taken the verdict before anybody acts on it.
          if (verdict !== "pass" && trap.come === undefined) queueMicrotask(() => spring(relay, link))
          return verdict
        },
        ...(trap.come === undefined ? {} : { come: (frame, direction) => void (trap.come!(frame, direction) && queueMicrotask(() => spring(relay, link))) }),
      })
    }
  })
  // Whoever makes the writers stand still next must be alone with it.
  let rousing: Promise<unknown> = Promise.resolve()
  const rouseAgain = (): void => void (rousing = rousing.then(() => rouse(world)))
  if (step.provoke === "rouse") rouseAgain()
  const calmed = await provoke(world, step)
  const patience = new AbortController()
  const gaveUp = after(STEP_MS, null, { signal: patience.signal }).catch(() => null)
  // What provokes a step may have to go on until it comes.
  const again = step.provoke === "bulk" || step.provoke === "rouse" ? setInterval(() => void (step.provoke === "bulk" ? world.bulk() : rouseAgain()), 2_000) : undefined
  const moment = await Promise.race([sprung, gaveUp])
  patience.abort()
  clearInterval(again)
  clear()
  await rousing
  if (calmed) world.writers.goOn()
  if (moment !== null) return moment
  for (const [, link] of links) link.release()
  return { relay: await world.active(), reached: false, ...nothing }
}

/** Answers whether writers stand still now. */
const provoke = async (world: World, { provoke }: Step): Promise<boolean> => {
  switch (provoke) {
    case "bulk":
      void world.bulk()
      break
    case "rouse":
    case "takeover":
      await (await world.active()).kill()
      break
    case "loss":
      await loseTail(world, "everything")
      break
    case "calm":
      await world.standStill()
      await world.flurry()
      return true
    case null:
  }
  return false
}

/** Milliseconds without a change after which a relay has let go of its wake lock. */
const REST_MS = 300

const rouse = async (world: World): Promise<void> => {
  await world.standStill()
  await after(REST_MS)
  world.writers.goOn()
  await world.flurry()
}
