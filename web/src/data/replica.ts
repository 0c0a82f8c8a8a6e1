/** The replica of whoever is signed in: set by stores/session.ts, read by every composable. Null while nobody is, or while it opens. */
import { shallowRef } from "vue"
import type { Replica } from "../sync/replica.ts"
import type { Views } from "./view.ts"

export interface Current {
  readonly replica: Replica
  readonly views: Views
}
export const current = shallowRef<Current | null>(null)
