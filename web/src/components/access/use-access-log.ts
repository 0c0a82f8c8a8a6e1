/**
 * Who changed what about access, as the events come in, while somebody looks: from the live replica. A deletion carries no row, so what it took away is what
 * was held before, and who did it is asked of the history.
 */
import { onScopeDispose, shallowRef, watch } from "vue"
import type { ShallowRef } from "vue"
import type { GrantRow, MemberRow } from "../../data/entities.ts"
import { endOf } from "../../data/access.ts"
import { current } from "../../data/replica.ts"
import { useSession } from "../../stores/session.ts"
import type { Names } from "./words.ts"
import { LEVEL_WORDS, onWords, principalName } from "./words.ts"

export interface Line {
  readonly key: string
  /** ISO 8601. */
  readonly at: string
  /** A user id; null: nobody was named. */
  readonly by: string | null
  readonly words: string
}

/** Lines kept: what scrolled away is in the audit. */
const LINES = 50

export const grantWords = (now: GrantRow, before: GrantRow | null, names: Names): string => {
  const on = onWords({ scope: now.scope, entity: now.entity, entityId: now.entity_id }, names)
  const who = principalName(now.principal, names)
  if (before === null) return `gave ${who} ${LEVEL_WORDS[now.level].name} on ${on}`
  if (before.level !== now.level) return `changed ${who} from ${LEVEL_WORDS[before.level].name} to ${LEVEL_WORDS[now.level].name} on ${on}`
  return `changed how long ${who} has ${LEVEL_WORDS[now.level].name} on ${on}`
}
const revokedWords = (was: GrantRow, names: Names): string =>
  `took ${LEVEL_WORDS[was.level].name} on ${onWords({ scope: was.scope, entity: was.entity, entityId: was.entity_id }, names)} from ${principalName(was.principal, names)}`

export const useAccessLog = (names: Names): Readonly<ShallowRef<ReadonlyArray<Line>>> => {
  const session = useSession()
  const lines = shallowRef<ReadonlyArray<Line>>([])
  const add = (line: Line): void => {
    lines.value = [line, ...lines.value].slice(0, LINES)
  }
  let stop = (): void => {}
  watch(current, (now) => {
    stop()
    lines.value = []
    if (now === null) return
    const since = now.replica.position()
    const follow = <R extends GrantRow | MemberRow>(entity: "_grant" | "_member", words: (row: R, before: R | null) => string, gone: (row: R) => string): (() => void) => {
      const view = now.views.of(entity)
      const known = new Map<string, R>()
      for (const [id, doc] of view.docs) known.set(id, doc.row as unknown as R)
      return view.watch((ids) => {
        for (const id of ids) {
          const doc = view.docs.get(id)
          const before = known.get(id) ?? null
          if (doc === undefined) {
            known.delete(id)
            const { token } = session
            if (before === null || token === null) continue
            // What is only not asked for any more, or not to be seen, has no such history.
            void endOf(token, entity, id).then((end) => end !== null && add({ key: `${entity} ${id} ${end.at}`, at: end.at, by: end.by, words: gone(before) }))
          } else {
            const row = doc.row as unknown as R
            known.set(id, row)
            if (doc.version > since) add({ key: `${entity} ${id} ${doc.version}`, at: doc.at, by: doc.by, words: words(row, before) })
          }
        }
      })
    }
    const stops = [
      follow<GrantRow>("_grant", (row, before) => grantWords(row, before, names), (row) => revokedWords(row, names)),
      follow<MemberRow>("_member", (row) => `put ${principalName(row.member, names)} into ${row.role}`, (row) => `took ${principalName(row.member, names)} out of ${row.role}`),
    ]
    stop = () => stops.forEach((one) => one())
  }, { immediate: true })
  onScopeDispose(() => stop())
  return lines
}
