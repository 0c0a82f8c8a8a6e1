/** Runs the tool as an operator does: as a program. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  /** Standard output as JSON. */
  readonly json: () => unknown
}

const program = fileURLToPath(new URL("./tideline.mjs", import.meta.url))

/** `env` beside PATH is all that the program gets. */
export const tideline = (words: ReadonlyArray<string>, env: Readonly<Record<string, string>>): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], { env: { PATH: process.env["PATH"], ...env }, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err, json: () => JSON.parse(out) as unknown }),
    )
  })
