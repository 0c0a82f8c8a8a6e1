/**
 * What users may see, from authz, each as of a sequence. Questions of one turn of the event loop go to authz together, and their answers are handed out
 * in turns: an event may touch ten thousand connections, and everybody else goes on meanwhile. Connections of one user that ask the same
 * share one question, and users with the same rights one set of patterns. Nothing is remembered: a later question is a new one.
 */
import { Result } from "effect"
import type { Pattern } from "#protocol/grant.ts"
import { VIEWS_AT_ONCE } from "#protocol/limits.ts"
import type { ViewAsk } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import { PatternSet } from "./pattern-set.ts"
import type { Requests, Viewed } from "./requests.ts"
import { asRequestError } from "./requests.ts"
import type { Turns } from "./turns.ts"

export interface Access {
  readonly user: string
  readonly at: number
  readonly principals: ReadonlyArray<string>
  readonly allowed: PatternSet
  /** As of each sequence that was asked about beside; null where one of them is not known. */
  readonly allowedBefore: ReadonlyArray<PatternSet> | null
  /** Milliseconds since 1970, or null. */
  readonly expiresAt: number | null
}

export type Take = (answer: Result.Result<Access, RequestError>) => void

interface Question {
  readonly key: string
  readonly ask: ViewAsk
  readonly takers: Array<Take>
}

export class Accesses {
  readonly #requests: Requests
  readonly #turns: Turns
  readonly #asked = new Map<string, Question>()
  #queue: Array<Question> = []
  #scheduled = false

  constructor(requests: Requests, turns: Turns) {
    this.#requests = requests
    this.#turns = turns
  }

  /** Asks what `user` may see as of `at`, and what as of each of `before`. `take` is called later, once. */
  ask(user: string, at: number, before: ReadonlyArray<number>, take: Take): void {
    const key = `${at} ${before.join(",")} ${user}`
    const asked = this.#asked.get(key)
    if (asked !== undefined) {
      asked.takers.push(take)
      return
    }
    const question = { key, ask: { user, at, before }, takers: [take] }
    this.#asked.set(key, question)
    this.#queue.push(question)
    this.#schedule()
  }

  /** The same for one who asks once. Rejects with a `RequestError`. */
  resolve(user: string, at: number): Promise<Access> {
    return new Promise((resolve, reject) =>
      this.ask(user, at, [], (answer) => (Result.isSuccess(answer) ? resolve(answer.success) : reject(answer.failure))),
    )
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const queue = this.#queue
      this.#queue = []
      for (let i = 0; i < queue.length; i += VIEWS_AT_ONCE) void this.#send(queue.slice(i, i + VIEWS_AT_ONCE))
    })
  }

  async #send(questions: ReadonlyArray<Question>): Promise<void> {
    let answers: ReadonlyArray<Viewed | RequestError>
    try {
      answers = await this.#requests.views(questions.map(({ ask }) => ask))
      if (answers.length === 0) throw new Error("authz answered nobody")
    } catch (cause) {
      const error = asRequestError(cause)
      answers = questions.map(() => error)
    }
    const sets = new Map<ReadonlyArray<Pattern>, PatternSet>()
    const setOf = (patterns: ReadonlyArray<Pattern>): PatternSet => {
      let set = sets.get(patterns)
      if (set === undefined) sets.set(patterns, (set = new PatternSet(patterns)))
      return set
    }
    for (const [i, question] of questions.entries()) {
      const answer = answers[i]
      if (answer === undefined) this.#queue.push(question)
      else this.#turns.add(() => this.#answer(question, answer, setOf))
    }
    if (this.#queue.length > 0) this.#schedule()
  }

  /** One taker a turn: true where there are more. */
  #answer(question: Question, answer: Viewed | RequestError, setOf: (patterns: ReadonlyArray<Pattern>) => PatternSet): boolean {
    if (this.#asked.get(question.key) === question) this.#asked.delete(question.key)
    const take = question.takers.shift()
    if (take === undefined) return false
    const { user, at } = question.ask
    if (answer instanceof RequestError) take(Result.fail(answer))
    else {
      const { principals, allowed, allowedBefore, expiresAt } = answer
      take(Result.succeed({ user, at, principals, allowed: setOf(allowed), allowedBefore: allowedBefore?.map(setOf) ?? null, expiresAt }))
    }
    return question.takers.length > 0
  }
}

/** Sees nothing. */
export const NO_ACCESS = new PatternSet([])
