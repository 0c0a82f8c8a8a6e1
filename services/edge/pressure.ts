/**
 * How full a socket is. One above the high-water mark is not read from either until it has drained: who does not take answers may
 * not go on asking. One that takes nothing for SOCKET_STALL_MS is dead, whatever it says.
 */
import { SOCKET_HIGH_WATER_BYTES, SOCKET_STALL_MS } from "#protocol/limits.ts"
import type { Socket } from "./world.ts"

export class Pressure {
  readonly #socket: Socket
  #full = false
  #timer: NodeJS.Timeout | undefined
  #waiting: Array<(drained: boolean) => void> = []

  constructor(socket: Socket) {
    this.#socket = socket
  }

  get full(): boolean {
    return this.#full
  }

  /** Something was written. */
  wrote(): void {
    if (this.#full || this.#socket.buffered() <= SOCKET_HIGH_WATER_BYTES) return
    this.#full = true
    this.#socket.pause()
    this.#watch()
  }

  #watch(): void {
    const before = this.#socket.buffered()
    this.#timer = setTimeout(() => {
      if (this.#socket.buffered() >= before) this.#socket.terminate()
      else this.#watch()
    }, SOCKET_STALL_MS)
  }

  /** The socket has taken everything. */
  drained(): void {
    if (!this.#full) return
    this.#full = false
    clearTimeout(this.#timer)
    this.#socket.resume()
    for (const resume of this.#waiting.splice(0)) resume(true)
  }

  /** Resolves with true when the socket has drained, with false after the time or when it has ended. */
  wait(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs)
      this.#waiting.push((drained) => {
        clearTimeout(timer)
        resolve(drained)
      })
    })
  }

  end(): void {
    clearTimeout(this.#timer)
    for (const resume of this.#waiting.splice(0)) resume(false)
  }
}
