/** The transcript in protocol/README.md: what it says, line by line. */

export type Line =
  /** The client sends this. */
  | { readonly kind: "send"; readonly frame: Record<string, unknown> }
  /** These frames come, in any order among themselves. */
  | { readonly kind: "receive"; readonly frames: ReadonlyArray<unknown> }
  | { readonly kind: "sql"; readonly statement: string }
  | { readonly kind: "closed"; readonly code: number }

/** Stands for any value. */
const ANY = "…"

/** The first code block after the comment that names it. */
export const parseTranscript = (markdown: string): ReadonlyArray<Line> => {
  const block = /<!-- transcript[^>]*-->\s*```\n([\s\S]*?)```/.exec(markdown)
  if (block === null) throw new Error("protocol/README.md has no transcript")
  const lines: Array<Line> = []
  for (const text of block[1]!.trimEnd().split("\n")) {
    const [sign = "", rest = ""] = split(text)
    const last = lines.at(-1)
    if (sign === ">") lines.push({ kind: "send", frame: JSON.parse(rest) as Record<string, unknown> })
    else if (sign === "$") lines.push({ kind: "sql", statement: rest })
    else if (sign === "<" && rest.startsWith("closed ")) lines.push({ kind: "closed", code: Number(rest.slice(7)) })
    else if (sign === "<") lines.push({ kind: "receive", frames: [JSON.parse(rest)] })
    else if (sign === "<~" && last?.kind === "receive") lines[lines.length - 1] = { kind: "receive", frames: [...last.frames, JSON.parse(rest)] }
    else if (sign === "<~") lines.push({ kind: "receive", frames: [JSON.parse(rest)] })
    else throw new Error(`not a line of a transcript: ${text}`)
  }
  return lines
}

const split = (text: string): ReadonlyArray<string> => {
  const at = text.indexOf(" ")
  return [text.slice(0, at), text.slice(at + 1)]
}

/** Whether `got` is what the transcript says: the same keys, the same values, but for those it leaves open. */
export const fits = (said: unknown, got: unknown): boolean => {
  if (said === ANY) return got !== undefined
  if (Array.isArray(said)) return Array.isArray(got) && said.length === got.length && said.every((part, i) => fits(part, got[i]))
  if (typeof said !== "object" || said === null) return said === got
  if (typeof got !== "object" || got === null || Array.isArray(got)) return false
  const keys = Object.keys(said)
  return keys.length === Object.keys(got).length && keys.every((key) => fits((said as Record<string, unknown>)[key], (got as Record<string, unknown>)[key]))
}
