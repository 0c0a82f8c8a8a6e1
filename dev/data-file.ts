/** Small JSON files in the data folder: written whole or not at all, readable by their owner only. */
import { readFileSync, renameSync, writeFileSync } from "node:fs"

export const writeWhole = (path: string, value: unknown): void => {
  const draft = `${path}.${process.pid}.draft`
  writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
  renameSync(draft, path)
}

/** The value, or null where the file is missing or not JSON. */
export const readValue = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as unknown
  } catch {
    return null
  }
}
