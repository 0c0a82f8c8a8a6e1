/** The whole, as people meet it: two of them at one board, each in a Chromium context of their own. The oracle after every story. */
import { AxeBuilder } from "@axe-core/playwright"
import postgres from "postgres"
import type { Browser, Page } from "playwright"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { agrees, openBrowser, signIn } from "./browser.ts"
import type { Person } from "./browser.ts"
import { mayView } from "./oracle.ts"

let stack: TestStack
let sql: postgres.Sql
let browser: Browser
let ada: Person
let grace: Person

beforeAll(async () => {
  stack = await startStack()
  sql = postgres(stack.databaseUrl, { max: 2, onnotice: () => undefined })
  browser = await openBrowser()
  ada = await signIn(browser, stack.webUrl, "Ada")
  grace = await signIn(browser, stack.webUrl, "Grace")
  for (const person of [ada, grace]) await person.open("Ferry booking")
})
afterAll(async () => {
  await browser?.close()
  await sql?.end()
  await stack?.stop()
})

/** Convergence: both hold exactly what one SQL query says they may see. */
afterEach(async () => {
  for (const person of [ada, grace]) await person.whenPill(/^Live/)
  await agrees(ada, () => mayView(sql, "ada"))
  await agrees(grace, () => mayView(sql, "grace"))
})

it("shows each what they may see and nothing else", async () => {
  await expect.poll(() => ada.page.getByRole("link", { name: /^Summer regatta/ }).count()).toBe(1)
  await expect.poll(() => grace.page.getByRole("link", { name: /^Summer regatta/ }).count()).toBe(0)
})

it("two people edit the same board", async () => {
  await ada.addTask("To do", "Paint the buoys")
  await grace.card("Paint the buoys", "To do").waitFor()

  await grace.drag("Paint the buoys", "In progress")
  await ada.card("Paint the buoys", "In progress").waitFor()

  await ada.card("Paint the buoys").getByRole("link").click()
  const title = ada.page.getByRole("textbox", { name: "Title", exact: true })
  await title.fill("Paint the buoys red")
  await title.press("Enter")
  await grace.card("Paint the buoys red", "In progress").waitFor()

  await grace.card("Paint the buoys red").getByRole("link").click()
  const comment = grace.page.getByRole("textbox", { name: "Comment" })
  await comment.fill("Green to starboard, though")
  await comment.press("Control+Enter")
  await ada.page.getByRole("dialog").getByText("Green to starboard, though").waitFor()

  await ada.page.getByRole("button", { name: "Delete task" }).click()
  await grace.card("Paint the buoys red").waitFor({ state: "detached" })
  await grace.page.keyboard.press("Escape")
})

it("moves a card by keyboard alone", async () => {
  await ada.addTask("To do", "Oil the winch")
  await ada.card("Oil the winch").getByRole("link").focus()
  await ada.page.keyboard.press("3")
  await ada.card("Oil the winch", "Review").waitFor()
  await grace.card("Oil the winch", "Review").waitFor()
})

it("keeps an edit made offline and sends it when the network is back", async () => {
  await ada.addTask("To do", "Count the lifejackets")
  await grace.card("Count the lifejackets").waitFor()
  await grace.context.setOffline(true)
  await grace.whenPill(/^Offline/)
  await grace.drag("Count the lifejackets", "Done")
  await grace.whenPill(/1 edit waiting/)
  await ada.addTask("To do", "Meanwhile ashore")
  expect(await ada.card("Count the lifejackets", "To do").count()).toBe(1)
  await grace.context.setOffline(false)
  await ada.card("Count the lifejackets", "Done").waitFor()
  await grace.card("Meanwhile ashore", "To do").waitFor()
})

it("shows its data at once after a reload, before any server answers", async () => {
  const edges = ["edge-1", "edge-2"] as const
  for (const edge of edges) stack.signal(edge, "SIGSTOP")
  await grace.page.reload()
  await grace.card("Meanwhile ashore", "To do").waitFor()
  expect(await grace.pill.textContent()).toMatch(/^Connecting|^Offline/)
  for (const edge of edges) stack.signal(edge, "SIGCONT")
  await grace.whenPill(/^Live/)
  await ada.addTask("To do", "While she looked away")
  await grace.card("While she looked away").waitFor()
})

it("resumes on the other edge when one is killed", async () => {
  for (const [down, title] of [["edge-1", "First edge gone"], ["edge-2", "Second edge gone"]] as const) {
    await stack.hold(down)
    await ada.addTask("Review", title)
    await grace.card(title, "Review").waitFor()
    await stack.release(down)
  }
})

it("takes back what is revoked, and gives what is granted, while one looks", async () => {
  await grace.open("Tide tables")
  await sql`select authz.revoke_access(principal => 'role:builders', scope => 'tides')`
  await grace.page.getByRole("link", { name: /^Tide tables/ }).waitFor({ state: "detached" })
  await agrees(grace, () => mayView(sql, "grace"))
  await sql`select authz.grant_access(principal => 'user:grace', scope => 'summer', level => 'EDIT')`
  await grace.open("Summer regatta")
  await grace.open("Ferry booking")
})

it("says so when an edit is not allowed, and takes it back on request", async () => {
  const barbara = await signIn(browser, stack.webUrl, "Barbara")
  await barbara.open("Website")
  const before = await mayView(sql, "barbara")
  await barbara.page.getByRole("button", { name: "New task in To do" }).click()
  await barbara.page.getByRole("textbox", { name: "Title of the new task in To do" }).fill("I may only look")
  await barbara.page.keyboard.press("Enter")
  await barbara.page.keyboard.press("Escape")
  await barbara.pill.filter({ hasText: /1 to settle/ }).waitFor()
  await barbara.pill.click()
  await barbara.page.getByRole("button", { name: /Discard/ }).click()
  await barbara.card("I may only look").waitFor({ state: "detached" })
  expect(await mayView(sql, "barbara")).toEqual(before)
  await agrees(barbara, () => mayView(sql, "barbara"))
  await barbara.context.close()
})

it("is usable without sight of it: axe finds nothing on the door, the board and a task, light and dark", async () => {
  const context = await browser.newContext({ reducedMotion: "reduce" })
  const page = await context.newPage()
  await page.goto(stack.webUrl)
  await page.getByRole("button", { name: "Ada", exact: true }).waitFor()
  const found: Array<string> = []
  const look = async (name: string, where: Page): Promise<void> => {
    for (const colorScheme of ["light", "dark"] as const) {
      await where.emulateMedia({ colorScheme })
      const { violations } = await new AxeBuilder({ page: where }).analyze()
      found.push(...violations.map((violation) => `${name}, ${colorScheme}: ${violation.id} at ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`))
    }
  }
  await look("the door", page)
  await look("the board", ada.page)
  for (const title of ["Oil the winch", "Offline check at the pier"]) {
    await ada.card(title).getByRole("link").click()
    await ada.page.getByRole("dialog", { name: `Task: ${title}` }).waitFor()
    await look(title, ada.page)
  }
  await ada.page.emulateMedia({ colorScheme: null })
  await context.close()
  expect(found).toEqual([])
})
