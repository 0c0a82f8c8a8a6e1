/** People at browsers: one Chromium, a context of its own for each person. What a test sees it sees as they do: by role and name. */
import { chromium } from "playwright"
import type { Browser, BrowserContext, Locator, Page } from "playwright"
import { expect } from "vitest"
import { until } from "#test/support/until.ts"

export interface Person {
  readonly page: Page
  readonly context: BrowserContext
  /** The pill's text: Live, Catching up, Connecting, Offline, Signed out. */
  readonly pill: Locator
  readonly column: (name: string) => Locator
  readonly card: (title: string, column?: string) => Locator
  readonly open: (project: string) => Promise<void>
  readonly addTask: (column: string, title: string) => Promise<void>
  /** By mouse, as a hand does it. */
  readonly drag: (title: string, column: string) => Promise<void>
  readonly whenPill: (text: RegExp) => Promise<void>
  /** What IndexedDB holds: every document that is not deleted, by `entity|id`. */
  readonly documents: () => Promise<Map<string, unknown>>
  /** The same person at another tab. */
  readonly at: (page: Page) => Person
}

export const openBrowser = (): Promise<Browser> => chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] })

const WAIT_MS = 15_000

/** Opens the page in a context of its own and signs in by the door. */
export const signIn = async (browser: Browser, webUrl: string, name: string): Promise<Person> => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" })
  context.setDefaultTimeout(WAIT_MS)
  const page = await context.newPage()
  await page.goto(webUrl)
  await page.getByRole("button", { name, exact: true }).click()
  const person = at(context, page)
  await person.whenPill(/^Live/)
  return person
}

const at = (context: BrowserContext, page: Page): Person => {
  const pill = page.getByTestId("sync-pill")
  const column = (name: string): Locator => page.getByRole("list", { name, exact: true })
  const card = (title: string, inColumn?: string): Locator =>
    (inColumn === undefined ? page : column(inColumn)).getByRole("listitem", { name: title, exact: true })
  return {
    page,
    context,
    pill,
    column,
    card,
    open: async (project) => {
      await page.getByRole("link", { name: new RegExp(`^${project}`) }).click()
      await column("To do").waitFor({ state: "attached" })
    },
    addTask: async (name, title) => {
      await page.getByRole("button", { name: `New task in ${name}` }).click()
      const field = page.getByRole("textbox", { name: `Title of the new task in ${name}` })
      await field.fill(title)
      await field.press("Enter")
      await field.press("Escape")
      await card(title, name).waitFor()
    },
    drag: async (title, name) => {
      const from = await card(title).boundingBox()
      const to = await page.getByRole("region", { name, exact: true }).boundingBox()
      if (from === null || to === null) throw new Error(`cannot drag ${title} to ${name}`)
      await page.mouse.move(from.x + from.width / 2, from.y + from.height - 6)
      await page.mouse.down()
      await page.mouse.move(to.x + to.width / 2, to.y + 90, { steps: 12 })
      await page.mouse.up()
      await card(title, name).waitFor()
    },
    whenPill: async (text) => {
      let said: string | null = null
      await until(async () => text.test((said = await pill.textContent()) ?? ""), { what: `the pill says ${text}`, deadline: 2 * WAIT_MS }).catch((cause: unknown) => {
        throw new Error(`the pill says ${said}, not ${text}`, { cause })
      })
    },
    at: (other) => at(context, other),
    documents: async () => new Map(await page.evaluate(readDocuments)),
  }
}

/** Runs in the page: reads the database below RxDB, so that what is checked is what is stored. */
const readDocuments = async (): Promise<Array<[string, unknown]>> => {
  const names = (await indexedDB.databases()).map(({ name }) => name ?? "").filter((name) => name.endsWith("--documents"))
  if (names.length !== 1) throw new Error(`expected one database of documents, found ${JSON.stringify(names)}`)
  const done = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.addEventListener("success", () => resolve(request.result))
      request.addEventListener("error", () => reject(request.error))
    })
  const database = await done(indexedDB.open(names[0]!))
  try {
    const rows = (await done(database.transaction("docs").objectStore("docs").getAll())) as Array<Record<string, unknown>>
    return rows
      .filter((row) => row["_deleted"] !== true && row["_deleted"] !== "1" && row["data"] !== null)
      .map((row) => [`${String(row["entity"])}|${String(row["id"])}`, row["data"]])
  } finally {
    database.close()
  }
}

type Copy = ReadonlyArray<{ readonly name: string; readonly stores: ReadonlyArray<{ readonly store: string; readonly rows: ReadonlyArray<unknown> }> }>

/** Every row of every database of the page's origin. */
export const copyDisk = (page: Page): Promise<Copy> =>
  page.evaluate(async () => {
    const done = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.addEventListener("success", () => resolve(request.result))
        request.addEventListener("error", () => reject(request.error))
      })
    const copy: Array<Copy[number]> = []
    for (const { name = "" } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name))
      const stores: Array<Copy[number]["stores"][number]> = []
      for (const store of database.objectStoreNames) stores.push({ store, rows: await done(database.transaction(store).objectStore(store).getAll()) })
      copy.push({ name, stores })
      database.close()
    }
    return copy
  })

/** Puts the rows back, over whatever the same databases hold now. */
export const restoreDisk = (page: Page, copy: Copy): Promise<void> =>
  page.evaluate(async (databases) => {
    const done = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.addEventListener("success", () => resolve(request.result))
        request.addEventListener("error", () => reject(request.error))
      })
    for (const { name, stores } of databases) {
      const database = await done(indexedDB.open(name))
      for (const { store, rows } of stores) {
        const into = database.transaction(store, "readwrite").objectStore(store)
        await done(into.clear())
        for (const row of rows) await done(into.put(row))
      }
      database.close()
    }
  }, copy)

/** All that the page's origin keeps on the device, as text. */
export const onDisk = async (page: Page): Promise<string> => {
  const databases = await copyDisk(page)
  const storage = await page.evaluate(() => [localStorage, sessionStorage].flatMap((one) => Object.entries(one)) as Array<[string, string]>)
  return JSON.stringify(Object.fromEntries([...databases.map(({ name, stores }) => [name, stores]), ...storage]))
}

/** The page's documents become what the oracle says; the failure names the first difference. */
export const agrees = async (person: Person, oracle: () => Promise<Map<string, unknown>>): Promise<void> => {
  await expect.poll(async () => difference(await person.documents(), await oracle()), { timeout: WAIT_MS }).toEqual([])
}

const difference = (held: Map<string, unknown>, expected: Map<string, unknown>): ReadonlyArray<string> => {
  const canonical = (value: unknown): string => JSON.stringify(value, (_, part: unknown) => (typeof part === "object" && part !== null && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part))
  return [...new Set([...held.keys(), ...expected.keys()])]
    .filter((key) => canonical(held.get(key)) !== canonical(expected.get(key)))
    .map((key) => `${key}: held ${canonical(held.get(key))}, expected ${canonical(expected.get(key))}`)
    .slice(0, 5)
}
