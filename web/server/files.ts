/**
 * The built app, read once and held in memory, compressed beforehand: some hundred kilobytes that a rebuild on disk cannot change under an
 * open page. Files with a hash in their name never change, so a browser may keep them for ever; index.html names them, so it may not.
 */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { extname, join, relative, sep } from "node:path"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"

export interface StaticFile {
  readonly type: string
  readonly cacheControl: string
  readonly etag: string
  readonly plain: Buffer
  /** Null where compressing gains nothing. */
  readonly gzip: Buffer | null
  readonly brotli: Buffer | null
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".webmanifest": "application/manifest+json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
}
const COMPRESSIBLE = /^(text|application|image\/svg)/
/** Bytes below which a compressed answer is no smaller on the wire. */
const SMALL = 860

/** Vite puts what it names by content into this folder. */
const isHashed = (path: string): boolean => path.startsWith("/assets/") && /-[\w-]{8,}\.\w+$/.test(path)

/** Every file by its path on the server, `/index.html` among them. Null where the app has not been built. */
export const loadFiles = (root: string): ReadonlyMap<string, StaticFile> | null => {
  if (!existsSync(join(root, "index.html"))) return null
  const found = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    found.map((entry) => {
      const full = join(entry.parentPath, entry.name)
      const path = `/${relative(root, full).split(sep).join("/")}`
      return [path, staticFile(path, readFileSync(full))]
    }),
  )
}

const staticFile = (path: string, plain: Buffer): StaticFile => {
  const type = TYPES[extname(path)] ?? "application/octet-stream"
  const compress = COMPRESSIBLE.test(type) && plain.length > SMALL
  return {
    type,
    cacheControl: isHashed(path) ? "public, max-age=31536000, immutable" : "no-cache",
    etag: `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`,
    plain,
    gzip: compress ? gzipSync(plain, { level: 9 }) : null,
    // Quality 5 is within a few percent of 11 and takes a fiftieth of its time.
    brotli: compress ? brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }) : null,
  }
}
