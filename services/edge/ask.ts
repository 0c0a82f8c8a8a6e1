/**
 * A question to authz. One instance is asked; if it says nothing for a while all are, and the first good answer counts. So an instance that is
 * stopped or cut off costs those who happen to ask it a moment and not their patience, whichever of them the server picks meanwhile.
 */
import type { Msg } from "@nats-io/nats-core"
import type { Nats } from "#nats/connection.ts"
import { ASK_ALL_MS, REQUEST_TIMEOUT_MS } from "#protocol/limits.ts"
import { ofAll } from "#protocol/request.ts"
import { metrics } from "./metrics.ts"

/** The reply. Rejects where nobody answers in time, or nobody is there. */
export const askAuthz = async (nats: Nats, subject: string, question: string): Promise<string> => {
  const one = nats.connection.request(subject, question, { timeout: REQUEST_TIMEOUT_MS }).then((reply) => reply.string())
  let timer: NodeJS.Timeout | undefined
  const all = new Promise<string>((resolve, reject) => {
    timer = setTimeout(() => {
      metrics.askedAll.add()
      askAll(nats, ofAll(subject), question).then(resolve, reject)
    }, ASK_ALL_MS)
  })
  // The one that comes too late is nobody's concern.
  for (const answer of [one, all]) answer.catch(() => {})
  try {
    return await Promise.race([one, all])
  } finally {
    clearTimeout(timer)
  }
}

const askAll = (nats: Nats, subject: string, question: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let refusal: string | null = null
    const inbox = nats.inbox()
    const finish = (done: () => void): void => {
      clearTimeout(timer)
      subscription.unsubscribe()
      done()
    }
    const timer = setTimeout(() => finish(() => (refusal === null ? reject(new Error("timeout")) : resolve(refusal))), REQUEST_TIMEOUT_MS - ASK_ALL_MS)
    const subscription = nats.connection.subscribe(inbox, {
      callback: (error, reply) => {
        if (error !== null) return finish(() => reject(error))
        if (isNobody(reply)) return finish(() => reject(new Error("nobody is there")))
        const text = reply.string()
        // One that cannot answer now does not speak for the others.
        if (isUnavailable(text)) refusal = text
        else finish(() => resolve(text))
      },
    })
    nats.connection.publish(subject, question, { reply: inbox })
  })

/** What the server says in the name of nobody. */
const isNobody = ({ data, headers }: Msg): boolean => data.length === 0 && headers?.code === 503

const isUnavailable = (reply: string): boolean => {
  if (reply.startsWith('{"ok":true')) return false
  try {
    const { ok, error } = JSON.parse(reply) as { readonly ok?: unknown; readonly error?: { readonly code?: unknown } }
    return ok === false && error?.code === "unavailable"
  } catch {
    return false
  }
}
