/**
 * Edits that wait become MUTATE frames, and answers become what is known of the edits.
 *
 * Promise: an entity's edits are sent in the order they were made, the next only when the one before was answered; one that was sent and not
 * answered is sent again under the same mutation id, which the server applies once. An edit that clashed or was refused holds
 * back those after it on the same entity until a person has settled it.
 */
import { FRAME_UP_BYTES, MUTATIONS_PER_FRAME } from "#protocol/limits.ts"
import type { Mutation, MutationResult } from "#protocol/mutation.ts"
import type { Resolution } from "./replica.ts"
import type { Row, Store, StoredEdit } from "./store.ts"
import { documentKey } from "./store.ts"

type Wire = typeof Mutation.Encoded

/** Milliseconds after which a mutation without an answer is sent again on the same connection. */
export const ANSWER_MS = 10_000
/** Mutations sent and not answered: an edge takes only so many frames a second, and so many mutations at once. */
const IN_FLIGHT = 2 * MUTATIONS_PER_FRAME
/** Bytes a MUTATE frame may have beside its mutations. */
const ENVELOPE_BYTES = 64

export interface Pusher {
  /** Sends what may be sent. */
  readonly pump: () => void
  /** A connection that takes mutations is there, or is not any more. */
  readonly open: (isOpen: boolean) => void
  /** Not before `ms` from now. */
  readonly postpone: (ms: number) => void
  readonly answer: (results: ReadonlyArray<MutationResult>) => void
}

export interface PusherOptions {
  readonly store: Store
  readonly send: (mutations: ReadonlyArray<Wire>) => void
  readonly now: () => number
}

export const createPusher = ({ store, send, now }: PusherOptions): Pusher => {
  let open = false
  let pumping = false
  /** By mutation id: when it was sent. */
  const flying = new Map<string, number>()
  let timer: ReturnType<typeof setTimeout> | undefined

  const again = (ms: number): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      for (const [id, sentAt] of flying) if (now() - sentAt >= ANSWER_MS) flying.delete(id)
      pump()
    }, ms)
  }

  /** At the end of this turn: what is edited together is sent together. */
  const pump = (): void => {
    if (!open || pumping) return
    pumping = true
    queueMicrotask(() => {
      pumping = false
      if (open) sendNext()
    })
  }

  const sendNext = (): void => {
    const { frames, tooLarge } = nextFrames(store.edits.values(), flying)
    for (const edit of tooLarge) void store.writeEdits([{ ...edit, state: "invalid", message: "This is too large to be saved." }], [])
    for (const frame of frames) {
      for (const mutation of frame) flying.set(mutation.id, now())
      send(frame)
    }
    if (flying.size > 0) again(ANSWER_MS)
  }

  return {
    pump,
    open: (isOpen) => {
      open = isOpen
      if (isOpen) return pump()
      flying.clear()
      clearTimeout(timer)
    },
    postpone: (ms) => {
      flying.clear()
      again(ms)
    },
    answer: (results) => {
      const byMutation = new Map<string, StoredEdit>()
      for (const edit of store.edits.values()) byMutation.set(edit.mutationId, edit)
      const known = results.flatMap((result) => {
        flying.delete(result.id)
        const edit = byMutation.get(result.id)
        // Its echo may have come first, or a person may have discarded it: then nothing is left to know.
        return edit === undefined || edit.state !== "waiting" ? [] : [answered(edit, result, now())]
      })
      if (known.length > 0) void store.writeEdits(known, [])
      pump()
    },
  }
}

/** What may be sent now: at most one edit an entity, the oldest, in frames within the wire's bounds. */
export const nextFrames = (
  edits: Iterable<StoredEdit>,
  flying: ReadonlyMap<string, unknown>,
): { readonly frames: ReadonlyArray<ReadonlyArray<Wire>>; readonly tooLarge: ReadonlyArray<StoredEdit> } => {
  const taken = new Set<string>()
  let room = IN_FLIGHT - flying.size
  const tooLarge: Array<StoredEdit> = []
  const frames: Array<Array<Wire>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const edit of [...edits].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const key = documentKey(edit.entity, edit.entityId)
    if (edit.state === "applied" || taken.has(key)) continue
    taken.add(key)
    if (room <= 0 || edit.state !== "waiting" || flying.has(edit.mutationId)) continue
    const mutation = toWire(edit)
    const size = utf8.encode(JSON.stringify(mutation)).length + 1
    if (size > FRAME_UP_BYTES - ENVELOPE_BYTES) {
      tooLarge.push(edit)
      continue
    }
    if (bytes + size > FRAME_UP_BYTES - ENVELOPE_BYTES || frames.at(-1)!.length === MUTATIONS_PER_FRAME) {
      frames.push([])
      bytes = 0
    }
    frames.at(-1)!.push(mutation)
    bytes += size
    room--
  }
  return { frames, tooLarge }
}

const utf8 = new TextEncoder()

const toWire = ({ mutationId, entity, entityId, op, base, data }: StoredEdit): Wire => ({
  id: mutationId,
  entityCode: entity,
  entityId,
  op,
  ...(op === "update" ? { base } : {}),
  ...(op === "delete" ? {} : { data }),
})

/** An edit once the server has answered it. */
export const answered = (edit: StoredEdit, { status, current, message }: MutationResult, at: number): StoredEdit =>
  status === "applied"
    ? { ...edit, state: "applied", appliedAt: at, current: null, message: null }
    : { ...edit, state: status, current: (current as Row | null | undefined) ?? null, message: message ?? null }

/** What settling an edit makes of it and of the edits after it on the same entity. */
export interface Settlement {
  readonly puts: ReadonlyArray<StoredEdit>
  readonly deletes: ReadonlyArray<string>
}

/** Sends it again, as if new: the server answers a repeated mutation id from memory. */
export const retried = (edit: StoredEdit, mutationId: string): StoredEdit => ({ ...edit, mutationId, state: "waiting", message: null, current: null })

/**
 * Takes an edit back. Those after it on the entity were made on top of it: what they saw is now what stands there without it. A creation that is
 * taken back takes them all with it.
 */
export const discarded = (edit: StoredEdit, later: ReadonlyArray<StoredEdit>): Settlement => {
  if (edit.op === "create") return { puts: [], deletes: [edit.id, ...later.map((one) => one.id)] }
  const stands = edit.state === "conflict" && edit.current !== null ? edit.current : edit.base
  return { puts: rebased(later, edit.data, stands), deletes: [edit.id] }
}

/** Settles a conflict. `seen` is the whole row as this device last knew it, for a row that is gone and shall come back. */
export const resolved = (edit: StoredEdit, later: ReadonlyArray<StoredEdit>, how: Resolution, mutationId: string, seen: Row | null): Settlement => {
  if (how === "theirs") return discarded(edit, later)
  const data = how === "mine" ? edit.data : { ...edit.data, ...how.merged }
  if (edit.op === "delete") return { puts: [{ ...retried(edit, mutationId), base: edit.current ?? {} }], deletes: [] }
  if (edit.current === null) return { puts: [{ ...retried(edit, mutationId), op: "create", base: {}, data: { ...seen, ...data } }], deletes: [] }
  const base = Object.fromEntries(Object.keys(data).map((field) => [field, edit.current![field] ?? null]))
  const changed = { ...retried(edit, mutationId), op: "update" as const, base, data }
  return { puts: [changed, ...rebased(later, edit.data, data)], deletes: [] }
}

/** Later edits whose base was `before` in some fields, where those are `now`'s values. The first of them that sets a field hides it from the rest. */
const rebased = (later: ReadonlyArray<StoredEdit>, before: Row, now: Row): ReadonlyArray<StoredEdit> => {
  const open = new Set(Object.keys(before))
  const puts: Array<StoredEdit> = []
  for (const edit of later) {
    const touched = Object.keys(edit.data).filter((field) => open.has(field))
    if (touched.length === 0) continue
    for (const field of touched) open.delete(field)
    puts.push({ ...edit, base: { ...edit.base, ...Object.fromEntries(touched.map((field) => [field, now[field] ?? null])) } })
  }
  return puts
}
