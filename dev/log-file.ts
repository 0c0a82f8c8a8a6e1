/** The output of one process, kept in a file. Bounded: a full file becomes `<name>.log.1`, in place of the one before. */
import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs"
import { join } from "node:path"
import { reasonOf } from "./errors.ts"

const MOST_BYTES = 10 * 1024 * 1024

/**
 * A function that writes a line to `<folder>/<name>.log`. A line that cannot be written (a full disk) is lost, for that must not end
 * what it tells of; `lost` hears of the first one.
 */
export const logFile = (folder: string, name: string, lost: (why: string) => void): ((line: string) => void) => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, `${name}.log`)
  let bytes = sizeOf(path)
  let told = false
  return (line) => {
    const text = `${line}\n`
    bytes += Buffer.byteLength(text)
    try {
      if (bytes > MOST_BYTES) {
        renameSync(path, `${path}.1`)
        bytes = Buffer.byteLength(text)
      }
      appendFileSync(path, text)
    } catch (cause) {
      if (!told) lost(`${path} cannot be written: ${reasonOf(cause)}`)
      told = true
    }
  }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
