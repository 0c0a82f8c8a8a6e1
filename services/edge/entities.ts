/** Which tables are tracked: a fold of the log's `_schema` events. What is not here cannot be subscribed to. */
import { Result, Schema } from "effect"
import { TrackedEntity } from "#protocol/schema.ts"
import { isAccessEntity } from "#protocol/subject.ts"
import type { LogMessage } from "#nats/log.ts"

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(TrackedEntity))

export class Entities {
  readonly #byCode = new Map<string, TrackedEntity>()

  /** An `_entity` event, in sequence order. One that cannot be read untracks its entity: nothing is decided open. */
  apply(message: LogMessage): void {
    const { id } = message.address
    const row = message.operation === "DELETE" ? null : Result.getOrNull(decode(message.body))
    if (row === null) this.#byCode.delete(id)
    else this.#byCode.set(id, row)
  }

  /** Whether there is one. */
  get any(): boolean {
    return this.#byCode.size > 0
  }

  /** Whether it can be asked for: a tracked table, or who may do what. To those who were not granted that by name it is as a table of which they see nothing. */
  isServed(code: string): boolean {
    return this.#byCode.has(code) || isAccessEntity(code)
  }

  get(code: string): TrackedEntity | undefined {
    return this.#byCode.get(code)
  }

  /** By code, in order. */
  all(): ReadonlyArray<TrackedEntity> {
    return [...this.#byCode.values()].sort((a, b) => (a.entity < b.entity ? -1 : 1))
  }
}
