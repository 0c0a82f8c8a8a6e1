/** Every promise that is checked. */
import type { Commit } from "../../../demo/history/commits.ts"
import { acknowledged } from "./acknowledged.ts"
import { converges, leaks, services, writes } from "./audience.ts"
import { cause } from "./cause.ts"
import type { Check } from "./check.ts"
import { cursor } from "./cursor.ts"
import { epochs } from "./epochs.ts"
import { mirror } from "./mirror.ts"
import { once } from "./once.ts"
import { order } from "./order.ts"
import { relays } from "./relays.ts"
import { state } from "./state.ts"
import { whole } from "./whole.ts"

export const allChecks = (history: ReadonlyArray<Commit>): ReadonlyArray<Check> => [
  acknowledged, once, order, whole, cause(history), cursor, state, mirror, epochs, relays, converges, leaks, writes, services,
]
