/** The least of many texts, in memory for a few. */
export class Least {
  readonly #most: number
  #kept: Array<string> = []

  constructor(most: number) {
    this.#most = most
  }

  offer(text: string): void {
    this.#kept.push(text)
    if (this.#kept.length >= 4 * this.#most) this.#kept = this.sorted()
  }

  /** Each once. */
  sorted(): Array<string> {
    return [...new Set(this.#kept)].sort().slice(0, this.#most)
  }
}
