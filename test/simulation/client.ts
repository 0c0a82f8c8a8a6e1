/**
 * The simplest client that does what protocol/README.md asks of one: documents with versions, one position, one cursor. It checks the
 * edge's manners as it goes: `complaints`.
 */
import type { Down } from "#protocol/down.ts"
import { Down as DownSchema } from "#protocol/down.ts"
import { Schema } from "effect"

interface Document {
  readonly version: number
  readonly scope: string | null
  readonly body: string
}

const decode = Schema.decodeUnknownSync(DownSchema)

/** What survives the end of a connection, and of the browser. */
export interface Stored {
  readonly cursor: string | null
  readonly position: number
}

export class Client {
  readonly documents = new Map<string, Document>()
  readonly #gone = new Map<string, Document>()
  readonly complaints: Array<string> = []
  readonly received: Array<Down> = []
  stored: Stored = { cursor: null, position: 0 }
  /** The one before: what is there if the browser died between the documents and the cursor. */
  #storedBefore: Stored = this.stored
  /** Everything asked for has caught up. */
  live = false
  #unanswered = 0
  /** A SUBSCRIBE or UNSUBSCRIBE was sent: a LIVE that comes before its answer does not speak of it. */
  wished(): void {
    this.live = false
    this.#unanswered += 1
  }

  /** A connection begins. Without a cursor nothing says what is held: then nothing may be. */
  connecting(): void {
    if (this.stored.cursor !== null) return
    this.documents.clear()
    this.#gone.clear()
  }

  /** Nothing is held any more, and nothing known of what was. */
  forget(): void {
    this.documents.clear()
    this.#gone.clear()
    this.stored = { cursor: null, position: 0 }
    this.#storedBefore = this.stored
  }

  get position(): number {
    return this.stored.position
  }

  receive(text: string): Down {
    const frame = decode(JSON.parse(text))
    this.received.push(frame)
    switch (frame.type) {
      case "CHANGES": {
        const { changes } = frame.payload
        for (const { entityCode, entityId, scope, operation, version, data } of changes) {
          const key = `${entityCode}/${entityId}`
          const known = this.documents.get(key) ?? this.#gone.get(key)
          if (known !== undefined && known.version >= version) continue
          const document = { version, scope, body: JSON.stringify(data) }
          this.documents.delete(key)
          this.#gone.delete(key)
          if (operation === "DELETE") this.#gone.set(key, document)
          else this.documents.set(key, document)
        }
        this.#move(frame.payload)
        break
      }
      case "HEARTBEAT":
      case "INVALIDATE":
        this.#move(frame.payload)
        break
      case "LIVE":
        this.#move(frame.payload)
        this.#gone.clear()
        this.live = this.#unanswered === 0
        break
      case "ACCESS_REVOKED": {
        const { entityCode, entityId, scope } = frame.payload
        for (const documents of [this.documents, this.#gone]) {
          if (entityId !== undefined) {
            documents.delete(`${entityCode}/${entityId}`)
            continue
          }
          for (const [key, document] of documents) {
            const [entity] = key.split("/")
            if (entity === entityCode && (scope === undefined || document.scope === scope)) documents.delete(key)
          }
        }
        break
      }
      case "RESET":
        this.forget()
        break
      case "SUBSCRIBED":
        this.#unanswered -= 1
        break
      default:
    }
    return frame
  }

  #move({ from, to, cursor }: { readonly from: number; readonly to: number; readonly cursor: string }): void {
    if (from !== this.stored.position) this.complaints.push(`a frame from ${from} for a client that stands at ${this.stored.position}`)
    if (to < from) this.complaints.push(`a frame from ${from} back to ${to}`)
    this.#storedBefore = this.stored
    this.stored = { cursor, position: to }
  }

  /** The connection is gone. `beforeStored`: the browser too, with the documents of the last frame stored and its cursor not. */
  disconnected(beforeStored: boolean): void {
    this.live = false
    this.#unanswered = 0
    if (beforeStored) this.stored = this.#storedBefore
  }

  /** `entity/id` → body. */
  rows(): ReadonlyMap<string, string> {
    return new Map([...this.documents].map(([key, { body }]) => [key, body]))
  }
}
