/**
 * Whose a token is. Authz is asked as of the edge's position; what the edge has passed by the time of the answer it looks up itself. So
 * nobody comes in with a token that the log, up to here, has ended, and nobody is turned away by one that is yet to come here.
 */
import type { TokenReply } from "#protocol/request.ts"
import { RequestError } from "#protocol/request.ts"
import { asRequestError } from "./requests.ts"
import type { World } from "./world.ts"

export const SIGNED_OUT = new RequestError({ code: "signed_out", message: "this session was signed out", hint: "sign in again for a new token" })

/** Calls one of both, once. What `good` does at once no sign-out comes between; `at`: as of where the token is good. */
export const whose = (world: World, token: string, good: (who: TokenReply, at: number) => void, failed: (error: RequestError) => void): void => {
  const at = world.ring.head
  world.requests.token(token, at).then(
    (who) => {
      const ended = world.signOuts.since(at, who)
      if (ended === null) return whose(world, token, good, failed)
      if (ended) failed(SIGNED_OUT)
      else good(who, at)
    },
    (cause: unknown) => failed(asRequestError(cause)),
  )
}
