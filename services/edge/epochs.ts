/** Which numberings of the stream there were: decides whether a cursor of an older one still says something true. Pure. */
import type { Epoch } from "#protocol/epoch.ts"
import { EPOCH_SETTLES_MS } from "#protocol/limits.ts"

export class Epochs {
  #all: ReadonlyArray<Epoch>

  /** Oldest first, as the log gives them. */
  constructor(all: ReadonlyArray<Epoch>) {
    this.#all = all
  }

  /** The id of the one in force, or null before the relay's first start. */
  get current(): string | null {
    return this.#all.at(-1)?.id ?? null
  }

  /** Whether `id` is one of them. */
  has(id: string): boolean {
    return this.#all.some((epoch) => epoch.id === id)
  }

  /** Whether the log began again a moment before `now` (milliseconds since 1970), and what was in it may be missing still. */
  settling(now: number): boolean {
    const last = this.#all.at(-1)
    return last !== undefined && last.previous !== null && now - Date.parse(last.at) < EPOCH_SETTLES_MS
  }

  add(epoch: Epoch): void {
    if (!this.has(epoch.id)) this.#all = [...this.#all, epoch]
  }

  /** Why what a cursor of `epoch` says up to `seq` no longer stands, or null where it does: nothing up to there was lost since. */
  problem(epoch: string, seq: number): string | null {
    const at = this.#all.findIndex((one) => one.id === epoch)
    if (at < 0) return "the cursor is of a numbering that this log does not know"
    const cut = this.#all.slice(at + 1).find((later) => seq >= later.firstSeq)
    return cut === undefined ? null : `the log lost what followed ${cut.firstSeq - 1} and began again (${cut.reason})`
  }
}
