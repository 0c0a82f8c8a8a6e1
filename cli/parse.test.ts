import { Effect, Exit, Result } from "effect"
import { describe, expect, it } from "vitest"
import { COMMANDS } from "./commands.ts"
import { helpFor, overview } from "./help.ts"
import { parse } from "./parse.ts"
import { requireInstant, spanMilliseconds, spell } from "./time.ts"

const parsed = (line: string) => parse(COMMANDS, line.split(" "))
const input = (line: string) => {
  const invocation = Result.getOrThrow(parsed(line))
  return invocation.kind === "run" ? invocation.input : null
}
const refusal = (line: string) => {
  const invocation = parsed(line)
  return Result.isFailure(invocation) ? `${invocation.failure.command?.name ?? "-"}: ${invocation.failure.error.message} ${invocation.failure.error.hint}` : ""
}

describe("the command line", () => {
  it("becomes arguments and options", () => {
    expect(input("track app.task --entity task --scope=project_id --json")).toEqual({
      args: { table: "app.task" },
      options: { entity: "task", scope: "project_id", "no-before": false },
      json: true,
    })
    expect(input("demo history --rate 5 --from-start")).toMatchObject({ options: { rate: "5", "from-start": true, full: false } })
  })

  it("is refused in words that name what was wrong", () => {
    expect(refusal("fly")).toContain('There is no command "fly". One of: track,')
    expect(refusal("demo dance")).toBe('-: There is no command "demo dance". One of: demo history.')
    expect(refusal("track --entity task")).toContain("track: table is missing. table: schema.table.")
    expect(refusal("track app.task")).toContain("--entity is missing.")
    expect(refusal("track app.task --entity")).toContain("--entity")
    expect(refusal("track app.task --entity=")).toContain("--entity is empty.")
    expect(refusal("track app.task app.comment --entity task")).toContain('"app.comment" is one word too many.')
    expect(refusal("tail --colour red")).toMatch(/tail: Unknown option '--colour'.*Options: --entity,/)
    expect(refusal("tail --no-follow=5")).toContain("--no-follow")
  })

  it("gives help wherever it is asked for", () => {
    for (const line of ["help", "--help", "-h"]) expect(parsed(line)).toEqual(Result.succeed({ kind: "help", command: null }))
    for (const command of COMMANDS) {
      for (const line of [`${command.name} --help`, `help ${command.name}`, `${command.name} -h`]) expect(parsed(line)).toEqual(Result.succeed({ kind: "help", command }))
    }
  })
})

describe("help", () => {
  it("lists every command, and of each every argument, option, exit code and an example that parses", () => {
    for (const command of COMMANDS) {
      expect(overview(COMMANDS)).toContain(`  ${command.name} `)
      const text = helpFor(command)
      for (const name of Object.keys(command.options)) expect(text).toContain(`--${name}`)
      for (const { name, optional } of command.args) expect(text).toContain(optional === true ? `[${name}]` : `<${name}>`)
      expect(text).toMatch(/Exit codes: 0 done, 1 .+, 2 the command line is wrong\./)
      expect(command.examples.map(refusal).filter((words) => words !== "")).toEqual([])
    }
  })
})

describe("times", () => {
  it("are spans or instants", async () => {
    expect(spanMilliseconds("90s")).toBe(90_000)
    expect(spanMilliseconds("1.5h")).toBe(5_400_000)
    expect(spanMilliseconds("1w")).toBe(null)
    const now = Date.UTC(2026, 0, 31)
    expect(await Effect.runPromise(requireInstant("since", "2h", now, -1))).toEqual(new Date(now - 7_200_000))
    expect(await Effect.runPromise(requireInstant("expires", "30d", now, 1))).toEqual(new Date(now + 30 * 86_400_000))
    expect(await Effect.runPromise(requireInstant("since", "2026-01-31T12:00:00Z", now, -1))).toEqual(new Date("2026-01-31T12:00:00Z"))
    for (const text of ["yesterday", "5", "2026-13-01"]) expect(Exit.isFailure(await Effect.runPromiseExit(requireInstant("since", text, now, -1)))).toBe(true)
  })

  it("are told in two figures", () => {
    expect([3, 1_234, 12_345, 240_000, 9_000_000, 200_000_000].map(spell)).toEqual(["3 ms", "1.2 s", "12 s", "4 min", "2.5 h", "2.3 d"])
  })
})
