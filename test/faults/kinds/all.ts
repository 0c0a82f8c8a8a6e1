/** Every kind of fault. */
import { cutFront, hangFront, killAuthz, killCommand, killEdge, pauseAuthz, pauseEdge } from "./front.ts"
import { killNats, killPostgres, killRelay, killRelays } from "./kill.ts"
import type { FaultKind } from "./kind.ts"
import { cut, hang, late, slow } from "./network.ts"
import { pauseNats, pauseRelay } from "./pause.ts"
import { deleteChanges, deleteStreams, restoreChanges, restoreStreams } from "./restore.ts"
import { restartServers, stopRelay } from "./stop.ts"

export const KINDS: ReadonlyArray<FaultKind> = [
  killRelay, killRelays, killNats, killPostgres, stopRelay, restartServers, pauseRelay, pauseNats, cut, hang, slow, late,
  restoreStreams, restoreChanges, deleteStreams, deleteChanges,
  killEdge, killAuthz, killCommand, pauseEdge, pauseAuthz, cutFront, hangFront,
]
