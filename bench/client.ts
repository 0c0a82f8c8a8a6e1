/** One client as a program would write it: it parses what it is told and asks to be called when something it waits for has come. */
import { WebSocket } from "ws"
import { SUBPROTOCOL } from "#protocol/version.ts"
import { ENTITY } from "./place.ts"

/** Milliseconds after which a frame is given up. */
const GIVE_UP_MS = 10_000

export interface Client {
  /** `performance.now()` at which a frame of this type with this text had come and was parsed. Ask before it can come. */
  readonly see: (type: string, text: string) => Promise<number>
  /** The last CHANGES frame. */
  readonly lastChanges: () => string
  /** Calls back with every CHANGES frame from now on, and `performance.now()` at which it was parsed. */
  readonly onChanges: (call: (text: string, at: number) => void) => void
  readonly close: () => void
  /** `performance.now()` at which the edge had closed it. */
  readonly closed: Promise<number>
}

/** Signed in, subscribed to everything there is to see of the bench's entity, and live. */
export const openClient = async (edgeUrl: string, token: string): Promise<Client> => {
  const socket = new WebSocket(`${edgeUrl.replace("http", "ws")}/ws`, SUBPROTOCOL)
  const closed = new Promise<number>((resolve) => socket.once("close", () => resolve(performance.now())))
  let last = ""
  let onChanges: (text: string, at: number) => void = () => {}
  let waiting: { readonly type: string; readonly text: string; readonly done: (at: number) => void } | null = null
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject)
    socket.on("close", (code, reason) => reject(new Error(`closed with ${code} ${reason.toString()}`)))
    socket.on("open", () => socket.send(JSON.stringify({ type: "AUTH", payload: { token } })))
    socket.on("message", (data) => {
      const text = (data as Buffer).toString()
      const { type } = JSON.parse(text) as { type: string }
      if (type === "AUTH_SUCCESS") socket.send(JSON.stringify({ type: "SUBSCRIBE", payload: { entityCode: ENTITY } }))
      if (type === "LIVE") resolve()
      if (type === "CHANGES") {
        last = text
        onChanges(text, performance.now())
      }
      if (waiting !== null && type === waiting.type && text.includes(waiting.text)) waiting.done(performance.now())
    })
  })
  return {
    see: (type, text) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no ${type} with ${text} within ${GIVE_UP_MS / 1000} s`)), GIVE_UP_MS)
        waiting = {
          type,
          text,
          done: (at) => {
            clearTimeout(timer)
            waiting = null
            resolve(at)
          },
        }
      }),
    lastChanges: () => last,
    onChanges: (call) => {
      onChanges = call
    },
    close: () => socket.terminate(),
    closed,
  }
}
