/** What a process has cost its machine so far. */
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { promisify } from "node:util"

const ps = async (pid: number, field: string): Promise<string> => (await promisify(execFile)("ps", ["-o", `${field}=`, "-p", String(pid)])).stdout.trim()

/** Resident memory, kB. */
export const residentKb = async (pid: number): Promise<number> => Number(await ps(pid, "rss"))

/** Clock ticks a second in Linux' /proc. */
const TICKS = 100

/** Seconds of processor time, to a hundredth. */
export const cpuSeconds = async (pid: number): Promise<number> => {
  if (process.platform === "linux") {
    // Fields 14 and 15, user and system; the name before them may hold blanks, so count from its closing bracket.
    const stat = await readFile(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) / TICKS
  }
  return (await ps(pid, "time")).split(":").reduce((sum, part) => 60 * sum + Number(part), 0)
}
