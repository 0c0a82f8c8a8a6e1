/**
 * Access that changes, as people meet it: lost, gained, moved, while they look, type, or are away. After every story the oracle, and
 * nothing of what was lost in IndexedDB or localStorage, in any tab.
 */
import { nanos } from "@nats-io/nats-core"
import { Effect } from "effect"
import postgres from "postgres"
import type { Browser, Page } from "playwright"
import { afterAll, afterEach, beforeAll, expect, it } from "vitest"
import { connectOnce } from "#nats/connection.ts"
import { startStack } from "#test/support/stack.ts"
import type { TestStack } from "#test/support/stack.ts"
import { until } from "#test/support/until.ts"
import { agrees, copyDisk, onDisk, openBrowser, restoreDisk, signIn } from "./browser.ts"
import type { Person } from "./browser.ts"
import { mayView } from "./oracle.ts"

let stack: TestStack
let sql: postgres.Sql
let browser: Browser
let grace: Person

beforeAll(async () => {
  stack = await startStack()
  sql = postgres(stack.databaseUrl, { max: 2, onnotice: () => undefined })
  browser = await openBrowser()
  await sql`insert into app.project (id, name, color, position) values ('secret', 'Secret harbour', 'teal', 90), ('other', 'Other shore', 'red', 91)`
  await sql`insert into app.task (project_id, title, description) values ('secret', 'Secret dredging', 'A secret depth'), ('secret', 'Secret lights', 'Secret colours'), ('other', 'Tar the planks', 'Twice')`
  await comment("Secret dredging", "A secret remark")
  await allow()
  grace = await signIn(browser, stack.webUrl, "Grace")
})
afterAll(async () => {
  await browser?.close()
  await sql?.end()
  await stack?.stop()
})
afterEach(async () => {
  await grace.whenPill(/^Live/)
  await agrees(grace, () => mayView(sql, "grace"))
})

const allow = () => sql`select authz.grant_access(principal => 'user:grace', scope => 'secret', level => 'EDIT')`
const forbid = () => sql`select authz.revoke_access(principal => 'user:grace', scope => 'secret')`
const comment = (title: string, body: string) =>
  sql`insert into app.comment (project_id, task_id, author, body) select project_id, id, 'ada', ${body} from app.task where title = ${title}`
const titles = async (): Promise<ReadonlyArray<string>> => (await sql<Array<{ title: string }>>`select title from app.task where project_id = 'secret' order by title`).map((row) => row.title)

const openTask = async (page: Page, title: string): Promise<void> => {
  await page.getByRole("link", { name: /^Secret harbour/ }).click()
  await page.getByRole("listitem", { name: title, exact: true }).getByRole("link").click()
  await page.getByRole("dialog", { name: `Task: ${title}` }).waitFor()
}
const told = (page: Page, text: RegExp): Promise<void> => page.locator(".toast", { hasText: text }).waitFor()
const link = (page: Page) => page.getByRole("link", { name: /^Secret harbour/ })
/** Nothing on the device names it, and nothing on the page once the words about it have gone. */
const forgotten = async (...pages: ReadonlyArray<Page>): Promise<void> => {
  for (const page of pages) {
    await link(page).waitFor({ state: "detached" })
    await expect.poll(() => onDisk(page), { timeout: 10_000 }).not.toMatch(/secret/i)
    await expect.poll(() => page.title()).not.toMatch(/secret/i)
    // All in one go: one that is clicked away, or ends by itself, moves the others up.
    await page.getByRole("button", { name: "Dismiss" }).evaluateAll((buttons) => buttons.forEach((button) => (button as HTMLElement).click()))
    await expect.poll(() => page.content(), { timeout: 10_000 }).not.toMatch(/secret/i)
  }
}
const away = async (): Promise<void> => {
  await grace.context.setOffline(true)
  await grace.whenPill(/^Offline/)
}

it("while one looks: an open drawer, a draft being typed, an edit under way, and a second tab", async () => {
  const second = await grace.context.newPage()
  await second.goto(stack.webUrl)
  await openTask(second, "Secret lights")
  await openTask(grace.page, "Secret dredging")
  await grace.page.getByRole("textbox", { name: "Description" }).fill("A secret depth, and deeper")
  stack.signal("command", "SIGSTOP")
  await second.keyboard.press("3")
  await second.getByRole("list", { name: "Review" }).getByRole("listitem", { name: "Secret lights" }).waitFor()
  await forbid()
  for (const page of [grace.page, second]) {
    await told(page, /^You no longer have access to Secret harbour; an edit and a draft were removed\./)
    await page.getByRole("dialog").waitFor({ state: "detached" })
  }
  stack.signal("command", "SIGCONT")
  await forgotten(grace.page, second)
  // The tab with the socket closes: the other goes on, and knows no more than it did.
  await grace.page.close()
  grace = grace.at(second)
})

it("gained, though years old, with a word of it; lost and regained quickly ends as it stands", async () => {
  await sql`update app.task set created_at = '1999-01-01', updated_at = '1999-01-01' where project_id = 'secret'`
  await grace.page.getByRole("searchbox", { name: "Search" }).fill("secret")
  await allow()
  await told(grace.page, /^Secret harbour is now shared with you/)
  await link(grace.page).waitFor()
  expect(await link(grace.page).textContent()).toMatch(/2/)
  for (let i = 0; i < 6; i++) await (i % 2 === 0 ? forbid() : allow())
  await agrees(grace, () => mayView(sql, "grace"))
  await grace.page.getByRole("searchbox", { name: "Search" }).fill("")
})

it("while one was away: queued edits and drafts are removed unsent, what is gained comes; on whichever edge one comes back", async () => {
  await openTask(grace.page, "Secret dredging")
  await away()
  await stack.hold("edge-1")
  await grace.page.getByRole("textbox", { name: "Title", exact: true }).fill("Secret dredging, by night")
  await grace.page.keyboard.press("Enter")
  await grace.page.getByRole("textbox", { name: "Comment" }).fill("A secret thought")
  await grace.whenPill(/1 edit waiting/)
  await forbid()
  await sql`select authz.grant_access(principal => 'user:grace', scope => 'other', level => 'VIEW')`
  await grace.context.setOffline(false)
  await told(grace.page, /^You no longer have access to Secret harbour; an edit and a draft were removed\. Other shore is now shared with you\.$/)
  await forgotten(grace.page)
  await stack.release("edge-1")
  expect(await titles()).toEqual(["Secret dredging", "Secret lights"])
  await grace.open("Other shore")
  await grace.card("Tar the planks").waitFor()
  await sql`select authz.revoke_access(principal => 'user:grace', scope => 'other')`
  await allow()
})

it("a task with its comments, then a whole project, moves out of sight and back", async () => {
  await openTask(grace.page, "Secret dredging")
  await grace.page.getByRole("dialog").getByText("A secret remark").waitFor()
  await grace.page.getByRole("textbox", { name: "Comment" }).fill("half a word")
  await sql`update app.task set project_id = 'other' where title = 'Secret dredging'`
  await told(grace.page, /^“Secret dredging” is no longer here; a draft was removed\./)
  await grace.page.getByRole("dialog").waitFor({ state: "detached" })
  await grace.card("Secret dredging").waitFor({ state: "detached" })
  await expect.poll(() => onDisk(grace.page)).not.toMatch(/dredging|remark|half a word/)
  await sql`update app.task set project_id = case project_id when 'other' then 'secret' else 'other' end where project_id in ('other', 'secret')`
  await grace.card("Tar the planks").waitFor()
  await grace.card("Secret lights").waitFor({ state: "detached" })
  await agrees(grace, () => mayView(sql, "grace"))
  await sql`update app.task set project_id = case when title = 'Tar the planks' then 'other' else 'secret' end where project_id in ('other', 'secret')`
  await openTask(grace.page, "Secret dredging")
  await grace.page.getByRole("dialog").getByText("A secret remark").waitFor()
  await grace.page.keyboard.press("Escape")
})

it("a device put back to an old copy of itself: documents of then, access of now", async () => {
  const copy = await copyDisk(grace.page)
  await forbid()
  await forgotten(grace.page)
  await grace.page.goto(`${stack.webUrl}/tideline.svg`)
  await restoreDisk(grace.page, copy)
  for (const edge of ["edge-1", "edge-2"]) stack.signal(edge, "SIGSTOP")
  await grace.page.goto(stack.webUrl)
  // Nobody has told this device yet.
  await link(grace.page).waitFor()
  for (const edge of ["edge-1", "edge-2"]) stack.signal(edge, "SIGCONT")
  await forgotten(grace.page)
})

it("away for longer than the history is kept: all is told anew, and what is not told again is forgotten", async () => {
  await allow()
  await openTask(grace.page, "Secret dredging")
  for (const edge of ["edge-1", "edge-2"] as const) await stack.hold(edge)
  await grace.whenPill(/^Offline/)
  await grace.page.getByRole("textbox", { name: "Comment" }).fill("A secret thought")
  await grace.page.getByRole("textbox", { name: "Title", exact: true }).fill("Secret dredging, by night")
  await grace.page.keyboard.press("Enter")
  await grace.whenPill(/1 edit waiting/)
  await loseHistoryAfter(forbid)
  for (const edge of ["edge-1", "edge-2"] as const) await stack.release(edge)
  await grace.whenPill(/^Live/)
  await told(grace.page, /^Secret harbour is no longer here; an edit and a draft were removed/)
  await forgotten(grace.page)
  expect(await titles()).toEqual(["Secret dredging", "Secret lights"])
})

it("a grant that ends while one is away is shown until the device hears of it, and no longer", async () => {
  await sql`select authz.grant_access(principal => 'user:grace', scope => 'secret', level => 'VIEW', expires_at => now() + interval '4 seconds')`
  await link(grace.page).waitFor()
  await away()
  await until(async () => (await sql`select from authz.grants where principal = 'user:grace' and scope = 'secret' and expires_at > now()`).length === 0, { what: "the grant has ended" })
  expect(await link(grace.page).count()).toBe(1)
  await grace.context.setOffline(false)
  await forgotten(grace.page)
})

it("a sign-out leaves nothing, in any tab", async () => {
  await allow()
  await openTask(grace.page, "Secret lights")
  const second = await grace.context.newPage()
  await second.goto(stack.webUrl)
  await link(second).waitFor()
  await grace.page.getByRole("button", { name: "Delete task" }).click()
  await second.keyboard.press("Control+k")
  await second.getByRole("option", { name: "Sign out" }).click()
  for (const page of [grace.page, second]) await page.getByRole("button", { name: "Grace", exact: true }).waitFor()
  await expect.poll(() => second.evaluate(() => indexedDB.databases()), { timeout: 10_000 }).toEqual([])
  await forgotten(grace.page, second)
  await second.close()
  await grace.page.getByRole("button", { name: "Grace", exact: true }).click()
  await grace.page.getByRole("link", { name: /^Secret harbour/ }).click()
  await grace.card("Secret lights").waitFor()
})

/** Something happens, and then CHANGES is as it is when everything so far is older than what it keeps. */
const loseHistoryAfter = (something: () => Promise<unknown>): Promise<void> =>
  Effect.gen(function* () {
    const { streams } = (yield* connectOnce(stack.natsUrl, "access-test")).jetstream
    yield* Effect.promise(async () => {
      const { config, state } = await streams.info("CHANGES")
      await something()
      await until(async () => (await streams.info("CHANGES")).state.last_seq > state.last_seq, { what: "it is in the stream" })
      await streams.update("CHANGES", { ...config, max_age: nanos(200), duplicate_window: nanos(200) })
      await until(async () => (await streams.info("CHANGES")).state.messages === 0, { what: "the history is gone" })
      await streams.update("CHANGES", config)
    })
  }).pipe(Effect.scoped, Effect.runPromise)
