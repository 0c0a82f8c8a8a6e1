/** Work that is done in slices, so that a thousand connections that catch up at once do not keep the live flow waiting. */

/** Does a slice; true when there is more to do. */
export type Job = () => boolean

export class Turns {
  readonly #turnMs: number
  #jobs: Array<Job> = []
  #scheduled = false

  constructor(turnMs: number) {
    this.#turnMs = turnMs
  }

  /** Does the job soon, in turn with the others. A job that was called off answers false. */
  add(job: Job): void {
    this.#jobs.push(job)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#turn)
  }

  readonly #turn = (): void => {
    this.#scheduled = false
    const until = performance.now() + this.#turnMs
    let done = 0
    while (done < this.#jobs.length) {
      const job = this.#jobs[done]!
      done += 1
      if (job()) this.#jobs.push(job)
      if (performance.now() >= until) break
    }
    this.#jobs.splice(0, done)
    if (this.#jobs.length > 0) this.#schedule()
  }
}
