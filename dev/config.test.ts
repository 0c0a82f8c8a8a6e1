import { ConfigProvider, Effect } from "effect"
import { expect, it } from "vitest"
import { configProblemLine } from "#observe/config-error.ts"
import { startConfig } from "./config.ts"

const read = (env: Record<string, string>) =>
  Effect.runPromise(
    startConfig.pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env)),
      Effect.catch((error) => Effect.succeed(configProblemLine(error))),
    ),
  )

it("needs nothing", async () => {
  expect(await read({})).toMatchObject({ databaseUrl: null, natsUrl: null, webPort: 8080, edgePorts: [4001, 4002], demo: true })
})

it.each([
  ["TIDELINE_PORT", "eighty"],
  ["TIDELINE_PORT", "70000"],
  ["TIDELINE_EDGE_PORTS", "4001,4001"],
  ["TIDELINE_EDGE_PORTS", "4001;4002"],
  ["TIDELINE_EDGE_PORTS", "8080"],
  ["DATABASE_URL", "mysql://localhost"],
  ["TIDELINE_DIRECT_DATABASE_URL", "mysql://localhost"],
  ["TIDELINE_DIRECT_DATABASE_URL", "postgres://localhost/without-another"],
  ["NATS_URL", "localhost:4222"],
  ["TIDELINE_JWT_SECRET", "short"],
  ["TIDELINE_JWKS_URL", "keys"],
  ["TIDELINE_DEMO", "maybe"],
])("names %s when it is %s", async (variable, value) => {
  expect(await read({ [variable]: value })).toMatch(new RegExp(`^${variable}: .{4,}`))
})

it("has no demo where tokens come from elsewhere", async () => {
  expect(await read({ TIDELINE_JWKS_URL: "https://issuer/keys" })).toMatchObject({ demo: false })
  expect(await read({ TIDELINE_JWKS_URL: "https://issuer/keys", TIDELINE_DEMO: "1" })).toMatch(/^TIDELINE_DEMO: /)
})
