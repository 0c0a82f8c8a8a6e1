/**
 * What `npm start`, `npm test`, `npm run bench` and `npm run faults` run first: plain JavaScript, no packages, any Node from 20. It installs what is missing -
 * the packages of the lockfile, with them the Node that the rest runs on, and for the tests a browser - then hands over and passes
 * signals on. It says what it does and how far it is; with nothing to do it says nothing.
 */
import { spawn, spawnSync } from "node:child_process"
import { accessSync, constants, existsSync, readFileSync, readdirSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const windows = process.platform === "win32"
const node = join(root, "node_modules", "node", "bin", windows ? "node.exe" : "node")

/** What each word runs. */
const PROGRAMS = {
  start: "dev/start.ts",
  test: "dev/test.ts",
  bench: "bench/main.ts",
  faults: "test/faults/main.ts",
}
/** The Node that the packages bring: it runs TypeScript as it is. */
const NODE_MAJOR = 24

class Missing extends Error {
  /** @param {string} message @param {string} hint */
  constructor(message, hint) {
    super(message)
    this.hint = hint
  }
}

const tty = process.stdout.isTTY === true && process.env.CI === undefined

/**
 * Shows a step while it lasts and when it is done. `progress` adds how far it is.
 * @template A @param {string} title @param {(progress: (text: string) => void) => Promise<A>} run @returns {Promise<A>}
 */
const step = async (title, run) => {
  const began = Date.now()
  let detail = ""
  const seconds = () => ((Date.now() - began) / 1000).toFixed(1)
  const draw = () => process.stdout.write(`\r\x1b[2K  … ${title}  ${detail}  ${seconds()} s`)
  let said = 0
  const timer = setInterval(() => {
    if (tty) draw()
    else if (Math.floor((Date.now() - began) / 15_000) > said) {
      said += 1
      console.log(`  … ${title}  ${detail}  ${seconds()} s`)
    }
  }, 250)
  if (tty) draw()
  else console.log(`  … ${title}`)
  try {
    const result = await run((text) => (detail = text))
    console.log(`${tty ? "\r\x1b[2K" : ""}  ✓ ${title}  ${seconds()} s`)
    return result
  } catch (error) {
    console.log(`${tty ? "\r\x1b[2K" : ""}  ✗ ${title}  ${seconds()} s`)
    throw error
  } finally {
    clearInterval(timer)
  }
}

/**
 * Runs a command to its end; rejects with the end of what it printed.
 * @param {string} command @param {ReadonlyArray<string>} args @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<void>}
 */
const run = (command, args, env = process.env) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], shell: windows && command === "npm" })
    let output = ""
    const read = (/** @type {Buffer} */ chunk) => (output = (output + chunk.toString()).slice(-4_000))
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    child.once("error", (error) => reject(new Error(`${command} could not be started: ${error.message}`)))
    child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(output.trim().split("\n").slice(-12).join("\n") || `${command} ended with code ${code}`))))
  })

/** @param {string} path @returns {Record<string, {version?: string, optional?: boolean, devOptional?: boolean, link?: boolean}> | null} */
const lockedPackages = (path) => {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages
  } catch {
    return null
  }
}

/** Whether node_modules holds exactly what the lockfile says: npm notes there what it has installed. */
const packagesAreThere = () => {
  const wanted = lockedPackages(join(root, "package-lock.json"))
  const had = lockedPackages(join(root, "node_modules", ".package-lock.json"))
  if (wanted === null || had === null || !existsSync(node)) return false
  const missing = Object.entries(wanted).some(
    ([path, locked]) => path !== "" && (had[path] === undefined ? locked.optional !== true && locked.devOptional !== true : had[path].version !== locked.version),
  )
  return !missing && Object.keys(had).every((path) => wanted[path] !== undefined)
}

const installPackages = async () => {
  if (packagesAreThere()) return
  if (!existsSync(join(root, "package-lock.json"))) throw new Missing("package-lock.json is missing.", "Clone the repository again, whole.")
  await step("packages (npm ci)", async (progress) => {
    const total = Object.keys(lockedPackages(join(root, "package-lock.json")) ?? {}).length
    const timer = setInterval(() => progress(`${countPackages()} of about ${total}`), 500)
    const options = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    const npm = process.env.npm_execpath
    try {
      await (npm !== undefined && npm.endsWith(".js") ? run(process.execPath, [npm, ...options]) : run("npm", options))
    } catch (error) {
      throw new Missing(`npm ci failed:\n${/** @type {Error} */ (error).message}`, "Is the package registry reachable? `npm ci` by hand shows more.")
    } finally {
      clearInterval(timer)
    }
  })
}

const countPackages = () => {
  try {
    return readdirSync(join(root, "node_modules")).reduce(
      (sum, name) => sum + (name.startsWith("@") ? readdirSync(join(root, "node_modules", name)).length : name.startsWith(".") ? 0 : 1),
      0,
    )
  } catch {
    return 0
  }
}

const checkNode = () => {
  const asked = spawnSync(node, ["--version"], { encoding: "utf8" })
  const major = Number(/^v(\d+)/.exec(asked.stdout ?? "")?.[1])
  if (major >= NODE_MAJOR) return
  throw new Missing(
    `The Node ${NODE_MAJOR} that comes with the packages does not run here${asked.error ? `: ${asked.error.message}` : ""}.`,
    "Remove node_modules and try again; npm must be allowed to run the install script of the package `node`.",
  )
}

const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
const BROWSER_PLACES = ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"]

/** @param {string} path */
const runs = (path) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const findBrowser = () => {
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean)
  const candidates = BROWSERS.flatMap((name) => folders.map((folder) => join(folder, windows ? `${name}.exe` : name)))
  return [...candidates, ...BROWSER_PLACES].find(runs)
}

/** The path of a Chromium; installs Debian's where that is allowed. */
const browser = async () => {
  const named = process.env.CHROMIUM
  if (named !== undefined && named !== "") {
    if (runs(named)) return named
    throw new Missing(`CHROMIUM is ${named}, and there is no program.`, "Set CHROMIUM to the path of a Chromium or Chrome, or unset it.")
  }
  const found = findBrowser()
  if (found !== undefined) return found
  if (!existsSync("/etc/debian_version") || process.getuid?.() !== 0) {
    throw new Missing("The tests need Chromium or Chrome, and there is none on PATH.", "Install one (Debian: sudo apt-get install chromium), or set CHROMIUM to its path.")
  }
  await step("Chromium (apt-get install)", async (progress) => {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    try {
      progress("package lists")
      await run("apt-get", ["update", "-qq"], env)
      progress("about 100 MB")
      await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "chromium"], env)
    } catch (error) {
      throw new Missing(`apt-get failed:\n${/** @type {Error} */ (error).message}`, "Install Chromium by hand, or set CHROMIUM to its path.")
    }
  })
  const installed = findBrowser()
  if (installed === undefined) throw new Missing("Chromium was installed and is not on PATH.", "Set CHROMIUM to its path.")
  return installed
}

/** Our parent and its parent. */
const ancestors = () => {
  try {
    return `${process.ppid} ${/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${process.ppid}/status`, "utf8"))?.[1]}`
  } catch {
    return String(process.ppid)
  }
}

/**
 * Hands over: signals go on to the program, and should we or npm be killed, it learns of it.
 * @param {string} script @param {ReadonlyArray<string>} args @param {NodeJS.ProcessEnv} env
 */
const handOver = (script, args, env) => {
  const child = spawn(node, [join(root, script), ...args], { cwd: process.cwd(), env, stdio: ["inherit", "inherit", "inherit", "ipc"] })
  // A Ctrl-C at the terminal reaches the program by itself; it ends in its own time, and we with it.
  process.on("SIGINT", () => {})
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal))
  // npm that is killed says nothing: we then belong to another process, or the shell between us does.
  const above = ancestors()
  if (process.env.npm_lifecycle_event !== undefined) {
    setInterval(() => {
      if (ancestors() !== above) child.kill("SIGTERM")
    }, 1_000).unref()
  }
  child.once("error", (error) => fail(new Missing(`${node} could not be started: ${error.message}`, "Remove node_modules and try again.")))
  child.once("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)))
}

/** @param {unknown} error */
const fail = (error) => {
  const { message, hint } = /** @type {Missing} */ (error)
  console.error(`\n${message}${hint === undefined ? "" : `\n→ ${hint}`}`)
  process.exit(1)
}

const [word = "", ...rest] = process.argv.slice(2)
try {
  const script = /** @type {Record<string, string>} */ (PROGRAMS)[word]
  if (script === undefined) throw new Missing(`bootstrap does not know "${word}".`, `One of: ${Object.keys(PROGRAMS).join(", ")}`)
  if (Number(process.versions.node.split(".")[0]) < 20) throw new Missing(`This is Node ${process.versions.node}.`, "Node 20 or later is needed to begin with.")
  await installPackages()
  checkNode()
  const env = { ...process.env }
  if (word === "test") env.CHROMIUM = await browser()
  handOver(script, rest, env)
} catch (error) {
  fail(error)
}
