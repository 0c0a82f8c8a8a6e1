/** Every step at which a fault may strike, in the order of the relay's loop. */
import type { Direction, Frame } from "../world/frames.ts"
import { acknowledges, answers, asks, published, runs } from "./frames.ts"
import type { Step, Trap } from "./step.ts"

const OUTBOX = "tideline relay"
const LEASE = "tideline relay lease"

type Test = (frame: Frame, direction: Direction) => boolean
/** Holds the first message that passes the test. */
const before = (test: Test) => () => (): Trap => ({ pass: (frame, direction) => (test(frame, direction) ? "hold" : "pass") })
/** Lets it go on, and nothing behind it. */
const behind = (test: Test) => () => (): Trap => ({ pass: (frame, direction) => (test(frame, direction) ? "hold after" : "pass") })
/** Holds the first message that passes `then`, after one passed `first`. */
const beforeNext = (first: Test, then: Test) => () => (): Trap => {
  let ready = false
  return {
    pass: (frame, direction) => {
      if (ready && then(frame, direction)) return "hold"
      ready ||= first(frame, direction)
      return "pass"
    },
  }
}

const publishes = (which: (message: NonNullable<ReturnType<typeof published>>) => boolean): Test => (frame, direction) => {
  const message = published(frame, direction)
  return message !== null && which(message)
}
const begins = publishes((message) => message.place === 1 && !message.epoch)
const commits = publishes((message) => message.commits && !message.epoch)
const looks: Test = (frame, direction) => runs(frame, direction, OUTBOX, "tide.look(")

export const STEPS: ReadonlyArray<Step> = [
  { name: "anywhere", what: "wherever it happens to be", provoke: null, trap: null },
  { name: "takeover", what: "a relay has the lease and asks where the stream ends", provoke: "takeover", trap: before((f, d) => asks(f, d, "$JS.API.STREAM.MSG.GET.CHANGES")) },
  { name: "before-epoch", what: "an epoch is about to be opened", provoke: "loss", trap: before(publishes((message) => message.epoch)) },
  { name: "epoch-stored", what: "an epoch is in the stream, its opener does not know", provoke: "loss", trap: beforeNext(publishes((m) => m.epoch && m.commits), acknowledges) },
  { name: "in-window", what: "a part of a large window is read", provoke: "bulk", trap: beforeNext((f, d) => runs(f, d, OUTBOX, "from tide_window"), (f, d) => answers(f, d, OUTBOX)) },
  { name: "read", what: "rows are read, none is published", provoke: null, trap: before(begins) },
  {
    name: "sent",
    what: "a whole batch is on its way, none of it has arrived",
    provoke: null,
    trap: () => () => {
      let held = false
      return {
        pass: (frame, direction) => {
          if (!begins(frame, direction)) return "pass"
          held = true
          return "hold"
        },
        come: (frame, direction) => held && commits(frame, direction),
      }
    },
  },
  {
    name: "in-batch",
    what: "some messages of a batch have arrived",
    provoke: "bulk",
    trap: (random) => {
      const place = 2 + random.int(8)
      return before(publishes((message) => message.place === place && !message.commits && !message.epoch))()
    },
  },
  { name: "before-commit", what: "all of a batch has arrived but the message that commits it", provoke: "bulk", trap: before(publishes((message) => message.commits && message.place > 1 && !message.epoch)) },
  { name: "committing", what: "the commit has arrived, nothing is known of it", provoke: null, trap: behind(commits) },
  { name: "stored", what: "a batch is in the stream, its acknowledgement is under way", provoke: null, trap: beforeNext(commits, acknowledges) },
  { name: "piece-stored", what: "one piece of a transaction is in the stream and acknowledged", provoke: "bulk", trap: () => () => {
    let partial = false
    return {
      pass: (frame, direction) => {
        if (partial && acknowledges(frame, direction)) return "hold after"
        partial ||= publishes((message) => message.commits && message.partial && !message.epoch)(frame, direction)
        return "pass"
      },
    }
  } },
  { name: "acknowledged", what: "a batch is acknowledged, the next look has not begun", provoke: null, trap: beforeNext(acknowledges, looks) },
  { name: "noting", what: "the acknowledged sequence is about to be noted in Postgres", provoke: null, trap: before((f, d) => runs(f, d, LEASE, "save_relay_state")) },
  { name: "waking", what: "the wake lock is taken, the relay does not know", provoke: "rouse", trap: beforeNext((f, d) => runs(f, d, LEASE, "pg_try_advisory_lock(tide.wake_key"), (f, d) => answers(f, d, LEASE)) },
  { name: "falling-asleep", what: "the wake lock is let go, the relay does not know", provoke: "calm", trap: beforeNext((f, d) => runs(f, d, LEASE, "pg_advisory_unlock"), (f, d) => answers(f, d, LEASE)) },
  { name: "drowsy", what: "it waits for older transactions before it sleeps", provoke: "calm", trap: before((f, d) => runs(f, d, LEASE, "pg_current_xact_id")) },
]
