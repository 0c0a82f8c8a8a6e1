/** A GET of the app: a file, or index.html for any path that the app's own router knows. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { extname } from "node:path"
import type { StaticFile } from "./files.ts"

/** Scripts and connections to this server only; styles also inline, as Vue and the headless components set them on elements. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self'",
  "connect-src 'self' ws: wss:",
  "manifest-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ")

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

export const respond = (request: IncomingMessage, response: ServerResponse, files: ReadonlyMap<string, StaticFile>): void => {
  if (request.method !== "GET" && request.method !== "HEAD") return plain(response, 405, "Only GET and HEAD here.\n", { allow: "GET, HEAD" })
  const path = pathOf(request.url ?? "/")
  if (path === null) return plain(response, 400, "This is not a path.\n")
  // A missing asset is missing: index.html in its place would run as a script and fail in a way nobody understands.
  const file = files.get(path) ?? (extname(path) === "" || path === "/" ? files.get("/index.html") : undefined)
  if (file === undefined) return plain(response, 404, "There is no such file.\n")

  const encodings = String(request.headers["accept-encoding"] ?? "")
  const [encoding, body] = /\bbr\b/.test(encodings) && file.brotli !== null ? ["br", file.brotli] : /\bgzip\b/.test(encodings) && file.gzip !== null ? ["gzip", file.gzip] : [null, file.plain]
  const headers = { ...SECURITY_HEADERS, "cache-control": file.cacheControl, etag: file.etag, vary: "accept-encoding" }
  if (request.headers["if-none-match"] === file.etag) {
    response.writeHead(304, headers).end()
    return
  }
  response.writeHead(200, { ...headers, "content-type": file.type, "content-length": body.length, ...(encoding === null ? {} : { "content-encoding": encoding }) })
  response.end(request.method === "HEAD" ? undefined : body)
}

const pathOf = (url: string): string | null => {
  try {
    return decodeURIComponent(new URL(url, "http://web").pathname)
  } catch {
    return null
  }
}

export const plain = (response: ServerResponse, status: number, text: string, headers: Readonly<Record<string, string>> = {}): void => {
  response.writeHead(status, { ...SECURITY_HEADERS, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers })
  response.end(text)
}
