/** The output of one process, kept in a file. Bounded: a full file becomes `<name>.log.1`, in place of the one before. */
import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs"
import { join } from "node:path"

const MOST_BYTES = 10 * 1024 * 1024

/** A function that writes a line to `<folder>/<name>.log`. */
export const logFile = (folder: string, name: string): ((line: string) => void) => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${name}.log`)
  let bytes = sizeOf(path)
  return (line) => {
    const text = `${line}\n`
    bytes += Buffer.byteLength(text)
    if (bytes > MOST_BYTES) {
      renameSync(path, `${path}.1`)
      bytes = Buffer.byteLength(text)
    }
    appendFileSync(path, text)
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
