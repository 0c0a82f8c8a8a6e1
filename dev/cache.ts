/** The folder of downloaded and copied programs: one per user, shared by all clones. */
import { homedir } from "node:os"
import { join } from "node:path"

export const cacheFolder = (env: NodeJS.ProcessEnv = process.env): string => {
  if (process.platform === "win32") return join(env["LOCALAPPDATA"] ?? join(homedir(), "AppData", "Local"), "tideline")
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "tideline")
  return join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tideline")
}
