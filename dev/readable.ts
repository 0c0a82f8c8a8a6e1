/** Whether another user of this system may get at a file: the embedded Postgres does not run as root. */
import { statSync } from "node:fs"
import { dirname, resolve } from "node:path"

export interface User {
  readonly uid: number
  readonly gid: number
}

/** The user that everyone's `nobody` is, and whose files nobody keeps. */
export const NOBODY: User = { uid: 65_534, gid: 65_534 }

export const runsAsRoot = (): boolean => process.getuid?.() === 0

/** Whether `user` may step through every folder above `path`. */
export const isReachable = (path: string, user: User): boolean => {
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder)
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
    if ((mode & bit) === 0) return false
    if (folder === dirname(folder)) return true
  }
}
