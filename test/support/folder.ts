/** Copies of servers' data folders: what a backup of files is. */
import { chmodSync, chownSync, cpSync, lstatSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"

/** `to` becomes what `from` is, owners and modes included. The server must be down. */
export const copyFolder = (from: string, to: string): void => {
  rmSync(to, { recursive: true, force: true })
  cpSync(from, to, { recursive: true, preserveTimestamps: true })
  own(from, to)
}

const own = (from: string, to: string): void => {
  const { uid, gid, mode } = lstatSync(from)
  if (process.getuid?.() === 0) chownSync(to, uid, gid)
  if (!lstatSync(from).isDirectory()) return
  chmodSync(to, mode)
  for (const name of readdirSync(from)) own(join(from, name), join(to, name))
}
