import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { until } from "#test/support/until.ts"
import { isAlive } from "./processes.ts"

const servers = fileURLToPath(new URL("../test/support/servers.ts", import.meta.url))

/** A process that starts both servers, says where they are, and is then killed without a word. */
const starter = `
  import { startNats, startPostgres } from ${JSON.stringify(servers)}
  const [pg, nats] = await Promise.all([startPostgres(), startNats()])
  console.log(JSON.stringify({ pids: [pg.pid(), nats.pid()], folders: [pg.dataDir, nats.storeDir] }))
`

it("ends the servers and removes the folders of a process that was killed", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", starter], { stdio: ["ignore", "pipe", "inherit"] })
  const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once("line", resolve))
  const { pids, folders } = JSON.parse(line) as { pids: ReadonlyArray<number>; folders: ReadonlyArray<string> }
  expect(pids.map(isAlive)).toEqual([true, true])
  child.kill("SIGKILL")
  await until(() => !pids.some(isAlive), { what: "both servers ended", deadline: 15_000 })
  await until(() => !folders.some((folder) => existsSync(folder)), { what: "both folders removed", deadline: 15_000 })
})
