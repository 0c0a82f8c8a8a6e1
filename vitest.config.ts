/**
 * The suffix says what a test needs: `.test.ts` nothing, `.live.test.ts` a Postgres or a nats-server, `.e2e.test.ts` the whole stack
 * and a browser, `.browser.test.ts` a page of its own. One kind runs after the other: a machine of two cores is busy with each.
 */
import { playwright } from "@vitest/browser-playwright"
import vue from "@vitejs/plugin-vue"
import { defineConfig } from "vitest/config"

const never = ["**/node_modules/**", "**/.tideline/**", "web/dist/**"]
const chromium = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

export default defineConfig({
  test: {
    projects: [
      {
        plugins: [vue()],
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: [...never, "**/*.{live,e2e,browser}.test.ts"],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "live",
          include: ["**/*.live.test.ts"],
          exclude: never,
          pool: "forks",
          // Each file starts servers of its own: more at once would only wait for each other.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["**/*.e2e.test.ts"],
          exclude: never,
          pool: "forks",
          fileParallelism: false,
          sequence: { groupOrder: 3 },
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        plugins: [vue()],
        // Found on the way, they would reload the page in the middle of a test.
        optimizeDeps: { include: ["pinia", "rxdb/plugins/core", "rxdb/plugins/storage-dexie", "rxjs", "vue"] },
        test: {
          name: "browser",
          include: ["web/**/*.browser.test.ts"],
          exclude: never,
          sequence: { groupOrder: 2 },
          testTimeout: 30_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: { executablePath: chromium, args: ["--no-sandbox"] } }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
})
