/**
 * An administrator at work, and the window of the person it is about: what is granted comes, what is taken back goes, and why is what SQL says. And
 * somebody who is none, with a project of their own that they share and close again.
 */
import { AxeBuilder } from "@axe-core/playwright"
import postgres from "postgres"
import type { Browser } from "playwright"
import { afterAll, beforeAll, expect, it } from "vitest"
import type { ExplainReply } from "#protocol/explain.ts"
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
  ;[ada, grace] = await Promise.all([signIn(browser, stack.webUrl, "Ada"), signIn(browser, stack.webUrl, "Grace")])
})
afterAll(async () => {
  await browser?.close()
  await sql?.end()
  await stack?.stop()
})

/** What an administrator's page holds: the workspace, and the access tables as they are. */
const withAccess = async (user: string): Promise<Map<string, unknown>> => {
  const rows = await sql<Array<{ key: string; data: unknown }>>`
    select '_grant|' || id as key, to_jsonb(g) as data from authz.grants g
    union all select '_member|' || role || ',' || member, to_jsonb(m) from authz.members m`
  return new Map([...(await mayView(sql, user)), ...rows.map(({ key, data }) => [key, data] as const)])
}

const choose = async (person: Person, button: RegExp, option: string | RegExp): Promise<void> => {
  await person.page.getByRole("form", { name: "Grant" }).getByRole("button", { name: button }).click()
  await person.page.getByRole("option", { name: option }).click()
}
const summer = (person: Person) => person.page.getByRole("link", { name: /^Summer regatta/ })
const rights = (place: string) => ada.page.getByRole("group", { name: place, exact: true })

/** What accessibility checks find, light and dark. */
const violations = async (person: Person): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  for (const colorScheme of ["light", "dark"] as const) {
    await person.page.emulateMedia({ colorScheme })
    const result = await new AxeBuilder({ page: person.page }).analyze()
    found.push(...result.violations.map((violation) => `${colorScheme}: ${violation.id} at ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`))
  }
  return found
}

/** Everything written anywhere in the browser's databases. */
const stored = (person: Person): Promise<string> =>
  person.page.evaluate(async () => {
    const done = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.addEventListener("success", () => resolve(request.result))
        request.addEventListener("error", () => reject(request.error))
      })
    let all = ""
    for (const { name } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name!))
      for (const store of database.objectStoreNames) all += JSON.stringify(await done(database.transaction(store).objectStore(store).getAll()))
      database.close()
    }
    return all
  })

it("is for administrators: others see a sentence, and no link", async () => {
  await ada.page.getByRole("link", { name: "Access" }).waitFor()
  expect(await grace.page.getByRole("link", { name: "Access" }).count()).toBe(0)
  await grace.page.goto(`${stack.webUrl}/admin/user:ada`)
  await grace.page.getByText("This page is for administrators").waitFor()
  expect(await grace.page.getByText("Roles").count()).toBe(0)
  await agrees(grace, () => mayView(sql, "grace"))
  await grace.page.goto(stack.webUrl)
})

it("says why: level, grants and roles are those that SQL finds", async () => {
  const token = await stack.token("ada")
  const explain = async (query: string): Promise<ExplainReply> => (await (await fetch(`${stack.webUrl}/v1/access?${query}`, { headers: { authorization: `Bearer ${token}` } })).json()) as ExplainReply
  for (const user of ["ada", "grace", "linus", "margaret", "edsger", "barbara", "stranger"]) {
    const held = await sql<Array<{ scope: string; level: string | null }>>`
      select p.id as scope, (select max(l)::text from unnest(enum_range(null::authz.level)) l where authz.allows(${user}, l::text, p.id, 'task', 'some')) as level from app.project p`
    for (const { scope, level } of held) expect({ user, scope, level: (await explain(`user=${user}&scope=${scope}&entity=task`)).level }).toEqual({ user, scope, level })
    const [truth] = await sql<Array<{ ids: ReadonlyArray<string> }>>`select coalesce(array_agg(id order by id), '{}') as ids from authz.grants where principal = any (authz.principals(${user}))`
    expect((await explain(`user=${user}`)).grants.map((grant) => grant.id).sort()).toEqual(truth!.ids)
  }
  const margaret = (await explain("user=margaret&scope=ferry")).grants.filter((grant) => grant.scope === "ferry")
  expect(margaret).toMatchObject([{ principal: "role:builders", paths: [["leads", "builders"]] }])
})

it("grants a project: it appears in the other window, and the page shows it once it is there", async () => {
  expect(await summer(grace).count()).toBe(0)
  await ada.page.getByRole("link", { name: "Access" }).click()
  await ada.page.getByRole("searchbox", { name: "Find a person or a role" }).fill("grace")
  await ada.page.keyboard.press("ArrowDown")
  await ada.page.keyboard.press("Enter")
  await ada.page.getByRole("article", { name: "Access of Grace Hopper" }).waitFor()
  await rights("Ferry booking").getByText("through role builders").waitFor()
  await agrees(ada, () => withAccess("ada"))

  await choose(ada, /^Where/, "Summer regatta")
  await choose(ada, /^Level/, /^Edit/)
  await ada.page.getByRole("button", { name: "Grant", exact: true }).click()
  await summer(grace).waitFor()
  await rights("Summer regatta").getByText(/own grant · granted by Ada Lovelace/).waitFor()
  await ada.page.getByRole("log").getByText("gave Grace Hopper Edit on everything in Summer regatta").waitFor()
  expect(await sql`select level::text, granted_by from authz.grants where principal = 'user:grace' and scope = 'summer'`).toEqual([{ level: "EDIT", granted_by: "ada" }])
  await agrees(ada, () => withAccess("ada"))
})

it("takes it back: gone before their eyes, with the draft they were writing; undo gives it again", async () => {
  await grace.open("Summer regatta")
  const [task] = await sql<Array<{ title: string }>>`select title from app.task where project_id = 'summer' and status = 'todo' limit 1`
  await grace.card(task!.title).getByRole("link").click()
  await grace.page.getByRole("textbox", { name: "Comment" }).fill("A secret of the regatta")
  await expect.poll(() => stored(grace)).toContain("A secret of the regatta")

  await rights("Summer regatta").getByRole("button", { name: /^Take back/ }).click()
  await summer(grace).waitFor({ state: "detached" })
  await grace.page.getByText("There is no such project").waitFor()
  await expect.poll(() => stored(grace)).not.toMatch(/A secret of the regatta|Summer regatta/)
  await rights("Summer regatta").waitFor({ state: "detached" })
  await ada.page.getByRole("log").getByText("took Edit on everything in Summer regatta from Grace Hopper").waitFor()
  await agrees(grace, () => mayView(sql, "grace"))

  await ada.page.getByRole("button", { name: "Undo" }).last().click()
  await summer(grace).waitFor()
  await rights("Summer regatta").getByRole("button", { name: "Level Edit, change" }).waitFor()
  await rights("Summer regatta").getByRole("button", { name: /^Take back/ }).click()
  await summer(grace).waitFor({ state: "detached" })
})

it("puts somebody into a role and takes them out: the reasons follow", async () => {
  await ada.page.getByRole("button", { name: "Add to a role" }).click()
  await ada.page.getByRole("option", { name: "leads" }).click()
  await summer(grace).waitFor()
  await rights("Summer regatta").getByText("through role leads").waitFor()
  await rights("Ferry booking").getByText("through role builders · also through role leads, inside role builders").waitFor()

  // Toasts lie over the question.
  const toasts = ada.page.getByRole("button", { name: "Dismiss" })
  while ((await toasts.count()) > 0) await toasts.last().click()
  await ada.page.getByRole("button", { name: "Project: Choose a project" }).click()
  await ada.page.getByRole("option", { name: "Summer regatta" }).click()
  await ada.page.getByRole("status").getByText(/^Owner on everything in Summer regatta/).waitFor()

  await ada.page.getByRole("button", { name: "Take out of leads" }).click()
  await summer(grace).waitFor({ state: "detached" })
  await ada.page.getByRole("status").getByText(/^Nothing on all of everything in Summer regatta/).waitFor()
})

it("says what to do about a change that cannot be", async () => {
  await ada.page.getByRole("button", { name: "Clear", exact: true }).click()
  await ada.page.getByRole("navigation", { name: "Whose access" }).getByRole("link", { name: /^leads/ }).click()
  await ada.page.getByRole("article", { name: "Access of leads" }).waitFor()
  await ada.page.getByRole("button", { name: "Add a member" }).click()
  await ada.page.getByRole("option", { name: "builders" }).click()
  await ada.page.getByText(/This cannot be: role .* cannot be inside role/).first().waitFor()
})

it("is usable without sight of it, light and dark, and holds nothing of it once it is left", async () => {
  expect(await violations(ada)).toEqual([])
  await ada.open("Ferry booking")
  await agrees(ada, () => mayView(sql, "ada"))
  expect(await stored(ada)).not.toContain("role:administrators")
})

it("an administrator who is one no more sees it end", async () => {
  await ada.page.getByRole("link", { name: "Access" }).click()
  await ada.page.getByRole("link", { name: /^Grace Hopper/ }).click()
  await rights("Ferry booking").waitFor()
  await sql`select authz.revoke_access('role:administrators', entity => '_grant')`
  await ada.page.getByText("This page is for administrators").waitFor()
  await expect.poll(async () => [...(await ada.documents()).keys()].filter((key) => key.startsWith("_grant"))).toEqual([])
  await expect.poll(() => ada.page.getByRole("link", { name: "Access" }).count()).toBe(0)
})

const nightCrossing = (person: Person) => person.page.getByRole("link", { name: /^Night crossing/ })
const share = (person: Person) => person.page.getByRole("button", { name: "Share", exact: true })

it("anybody founds a project: it stands on the screen at once and stays, and is theirs", async () => {
  await grace.page.goto(stack.webUrl)
  await grace.whenPill(/^Live/)
  // What the server has taken stays on the screen for as long as it takes the log to say so.
  await stack.hold("relay")
  await grace.page.getByRole("button", { name: "New project" }).click()
  await grace.page.getByRole("textbox", { name: "Name" }).fill("Night crossing")
  await grace.page.getByRole("textbox", { name: "Name" }).press("Enter")
  await grace.page.getByRole("heading", { name: "Night crossing" }).waitFor()
  await grace.page.evaluate(() => {
    const seen = globalThis as unknown as { gone: number }
    seen.gone = 0
    new MutationObserver(() => {
      if (!document.querySelector("nav")!.textContent.includes("Night crossing") || !document.querySelector("h1")!.textContent.includes("Night crossing")) seen.gone += 1
    }).observe(document.body, { childList: true, subtree: true, characterData: true })
  })
  await grace.addTask("To do", "Ask about the tide")
  await expect.poll(() => sql`select 1 from app.task t join app.project p on p.id = t.project_id where p.name = 'Night crossing'`.then((rows) => rows.length)).toBe(1)
  await expect.poll(() => grace.page.getByRole("img", { name: /^(Kept on this device|On its way)/ }).count()).toBe(0)
  await stack.release("relay")
  await share(grace).waitFor()
  await agrees(grace, () => mayView(sql, "grace"))
  expect(await grace.page.evaluate(() => (globalThis as unknown as { gone: number }).gone)).toBe(0)
  expect(await grace.page.getByText("now shared with you").count()).toBe(0)
  expect(await sql`select principal, level::text from authz.grants g join app.project p on p.id = g.scope where p.name = 'Night crossing'`).toEqual([{ principal: "user:grace", level: "OWNER" }])
})

it("and shares it: it appears in the other window, which may not share it further, and goes again; undo brings it back", async () => {
  const linus = await signIn(browser, stack.webUrl, "Linus")
  await linus.page.getByRole("link", { name: /^Ferry booking/ }).waitFor()
  expect(await nightCrossing(linus).count()).toBe(0)
  await share(grace).click()
  await grace.page.getByRole("listitem", { name: "Grace Hopper" }).getByText("own grant").waitFor()
  await grace.page.getByRole("button", { name: "Person or role" }).click()
  await grace.page.getByRole("option", { name: "Linus Torvalds" }).click()
  await grace.page.getByRole("form", { name: "Let somebody in" }).getByRole("button", { name: "Share", exact: true }).click()
  await nightCrossing(linus).waitFor()
  await grace.page.getByRole("listitem", { name: "Linus Torvalds" }).getByText(/own grant · granted by Grace Hopper/).waitFor()
  expect(await violations(grace)).toEqual([])

  const answered = linus.page.waitForResponse((response) => response.url().includes("/v1/access?") && response.url().includes("scope=night-crossing"))
  await nightCrossing(linus).click()
  await (await answered).finished()
  await linus.card("Ask about the tide").waitFor()
  expect(await share(linus).count()).toBe(0)

  const level = (name: string) => grace.page.getByRole("button", { name: `Linus Torvalds: ${name}, change` })
  await level("Edit").click()
  await grace.page.getByRole("option", { name: /^Share/ }).click()
  await level("Share").waitFor()
  await linus.page.evaluate(() => dispatchEvent(new Event("focus")))
  await share(linus).click()
  // Who holds less than another takes nothing from them.
  await linus.page.getByRole("listitem", { name: "Grace Hopper" }).getByText("own grant").waitFor()
  expect(await linus.page.getByRole("button", { name: /^Take back/ }).count()).toBe(0)

  await grace.page.getByRole("button", { name: "Take back from Linus Torvalds" }).click()
  await nightCrossing(linus).waitFor({ state: "detached" })
  await linus.page.getByText("There is no such project").waitFor()
  await grace.page.getByRole("listitem", { name: "Linus Torvalds" }).waitFor({ state: "detached" })
  await expect.poll(() => stored(linus)).not.toMatch(/Ask about the tide|Night crossing/)
  await agrees(linus, () => mayView(sql, "linus"))

  await grace.page.getByText("Linus Torvalds no longer has Share on this project").first().waitFor()
  await grace.page.keyboard.press("Control+z")
  await nightCrossing(linus).waitFor()
  await level("Share").waitFor()
  await Promise.all([agrees(linus, () => mayView(sql, "linus")), agrees(grace, () => mayView(sql, "grace"))])
})
