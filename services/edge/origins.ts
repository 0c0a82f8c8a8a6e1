/**
 * Which pages may speak to the edge from a browser. A browser says where a page comes from (`Origin`); other programs do not say, and need a
 * token like everybody else.
 */

/** Origins that may, or null: pages of the same host, on any port. */
export type Origins = { readonly allowed: ReadonlySet<string> | null }

/** Null where the text is not a list of origins. No text: pages of the same host. */
export const parseOrigins = (text: string | null): Origins | null => {
  if (text === null) return { allowed: null }
  const allowed = new Set<string>()
  for (const part of text.split(",")) {
    const origin = part.trim()
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) return null
    allowed.add(origin)
  }
  return { allowed }
}

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"])

/** Whether a page of `origin` may speak to the edge that it calls `host` (the header's value, with its port). No origin: it is no page. */
export const isAllowed = ({ allowed }: Origins, origin: string | undefined, host: string | undefined): boolean => {
  if (origin === undefined) return true
  if (allowed !== null) return allowed.has(origin)
  if (!URL.canParse(origin) || host === undefined || !URL.canParse(`http://${host}`)) return false
  const page = new URL(origin).hostname
  const here = new URL(`http://${host}`).hostname
  return page !== "" && (page === here || (LOOPBACK.has(page) && LOOPBACK.has(here)))
}
