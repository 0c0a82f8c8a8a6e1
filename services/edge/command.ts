/**
 * Hop 0 of the next event: a mutation goes as a request to the command service next to Postgres (`cmd.…`), and its result comes back. The
 * edge decides nothing here. A connection's mutations go one after the other, for a later one may rest on an earlier one. If nobody answers, what is
 * left of a frame is not tried: the client sends it again with the same ids, which is harmless.
 */
import { MUTATIONS_WAITING } from "#protocol/limits.ts"
import type { Mutation, MutationResult } from "#protocol/mutation.ts"
import { RequestError } from "#protocol/request.ts"
import { commandSubject, isAddressText, isEntityCode } from "#protocol/subject.ts"
import type { Requests } from "./requests.ts"
import { asRequestError } from "./requests.ts"

/** Who mutates, by which way: for the audit. */
export interface Author {
  readonly user: string
  readonly requestId: string
  readonly endpoint: string
  readonly method: string
  readonly userAgent: string | null
  readonly ip: string | null
  readonly trace: string | null
}

export interface Outcome {
  readonly results: ReadonlyArray<MutationResult>
  /** Why the rest was not tried. */
  readonly error: RequestError | null
}

export class Commands {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  /** Applies them in order, as long as `wanted`. Does not reject. */
  async apply(mutations: ReadonlyArray<Mutation>, author: Author, wanted: () => boolean = () => true): Promise<Outcome> {
    const results: Array<MutationResult> = []
    for (const mutation of mutations) {
      if (!wanted()) break
      const refusal = this.#refusal(mutation)
      if (refusal !== null) {
        results.push({ id: mutation.id, status: "invalid", message: refusal })
        continue
      }
      try {
        // The scope is the row's, which Postgres knows; the sender need not.
        const subject = commandSubject({ scope: null, entity: mutation.entityCode, id: mutation.entityId })
        results.push(await this.#requests.command(subject, { ...author, mutation }))
      } catch (cause) {
        return { results, error: asRequestError(cause) }
      }
    }
    return { results, error: null }
  }

  #refusal({ entityCode, entityId, id }: Mutation): string | null {
    if (id === "" || !isAddressText(id)) return "the mutation's id is empty or too long"
    // Whether it is tracked Postgres says: an edge may not have heard of it yet.
    if (!isEntityCode(entityCode)) return `${JSON.stringify(entityCode.slice(0, 64))} is not an entity code`
    return isAddressText(entityId) ? null : "the entity's id is not one that a row can have"
  }
}

/** One connection's mutations, in the order in which they came. */
export class CommandQueue {
  readonly #commands: Commands
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #stopped = false

  constructor(commands: Commands) {
    this.#commands = commands
  }

  /** What waits is not tried: its user was signed out. */
  stop(): void {
    this.#stopped = true
  }

  /** Does not reject. */
  apply(mutations: ReadonlyArray<Mutation>, author: Author): Promise<Outcome> {
    if (this.#waiting + mutations.length > MUTATIONS_WAITING) return Promise.resolve({ results: [], error: overfull })
    this.#waiting += mutations.length
    const outcome = this.#last.then(() => this.#commands.apply(mutations, author, () => !this.#stopped))
    this.#last = outcome.finally(() => {
      this.#waiting -= mutations.length
    })
    return outcome
  }
}

const overfull = new RequestError({
  code: "too_many",
  message: `more than ${MUTATIONS_WAITING} mutations wait`,
  hint: "send them again, with the same ids, when others were answered",
  retryAfter: 1,
})
