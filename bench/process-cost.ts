/** What a process has cost its machine so far. */
import { execFile } from "node:child_process"
import { readdir, readFile } from "node:fs/promises"
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

/** Seconds of processor time of the threads that it has now, to a microsecond where the system tells (Linux): for what hardly does anything. */
export const fineCpuSeconds = async (pid: number): Promise<number> => {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const texts = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => null)))
  if (texts.length === 0 || texts.includes(null)) return cpuSeconds(pid)
  return texts.reduce((sum, text) => sum + Number(text!.split(" ")[0]) / 1e9, 0)
}

/** The most resident memory that it ever had, kB; where the system does not tell, what it has now. */
export const peakResidentKb = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "")
  const peak = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]
  return peak === undefined ? residentKb(pid) : Number(peak)
}
