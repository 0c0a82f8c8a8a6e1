import { it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { expect } from "vitest"
import type { Child, Ended } from "./child.ts"
import { DevError } from "./errors.ts"
import { delayAfter, supervise } from "./supervise.ts"

/** A program that runs in imagination: `end` ends the present run. */
const imagined = () => {
  let pid = 0
  let running: Deferred.Deferred<Ended> | null = null
  const delays: Array<number> = []
  const end = (ended: Ended) => (running === null ? Effect.void : Effect.asVoid(Deferred.succeed(running, ended)))
  const start = Effect.sync((): Child => {
    const ended = Deferred.makeUnsafe<Ended>()
    running = ended
    pid += 1
    return {
      name: "imagined",
      pid,
      ended: Deferred.await(ended),
      line: () => Effect.never,
      lastLines: () => ["its last words"],
      signal: (signal) => void Deferred.doneUnsafe(ended, Effect.succeed({ code: null, signal })),
    }
  })
  return { start, end, delays, supervision: { name: "imagined", start, ready: Effect.void, changed: () => undefined, ended: (_how: string, delay: number) => void delays.push(delay) } }
}

const crash: Ended = { code: 1, signal: null }
const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

it.effect("starts a process again, later each time, and soon again after a minute of health", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const program = imagined()
      const supervised = yield* supervise(program.supervision)
      yield* supervised.whenReady
      for (const delay of [200, 400, 800]) {
        yield* program.end(crash)
        yield* settle
        expect(supervised.pid()).toBeNull()
        yield* TestClock.adjust(delay)
        yield* supervised.whenReady
      }
      expect(program.delays).toEqual([200, 400, 800])
      expect(supervised.pid()).toBe(4)
      yield* TestClock.adjust(60_000)
      yield* program.end(crash)
      yield* settle
      expect(program.delays.at(-1)).toBe(200)
    }),
  ),
)

it.effect("gives up waiting for what never becomes ready, and goes on trying", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const program = imagined()
      const supervised = yield* supervise({ ...program.supervision, ready: Effect.never })
      const waiting = yield* Effect.forkChild(Effect.flip(supervised.whenReady))
      for (let times = 0; times < 3; times++) {
        yield* settle
        yield* program.end(crash)
        yield* settle
        yield* TestClock.adjust(1_000)
      }
      const error = yield* Fiber.join(waiting)
      expect(error).toBeInstanceOf(DevError)
      expect(error.message).toContain("its last words")
      yield* settle
      expect(supervised.pid()).toBe(4)
    }),
  ),
)

it.effect("keeps a held process down until it is released", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const program = imagined()
      const supervised = yield* supervise(program.supervision)
      yield* supervised.whenReady
      yield* supervised.hold("SIGKILL")
      yield* TestClock.adjust(60_000)
      expect(supervised.pid()).toBeNull()
      yield* supervised.release
      yield* supervised.whenReady
      expect(supervised.pid()).toBe(2)
      expect(program.delays).toEqual([])
    }),
  ),
)

it("waits between 0.2 and 10 seconds", () => {
  expect([1, 2, 3, 6, 7, 50].map(delayAfter)).toEqual([200, 400, 800, 6_400, 10_000, 10_000])
})
