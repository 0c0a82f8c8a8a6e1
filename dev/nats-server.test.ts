import { Effect } from "effect"
import { expect, it } from "vitest"
import { isNewEnough, natsServer, parseVersion } from "./nats-server.ts"

it.each([
  ["nats-server: v2.15.1", "2.15.1"],
  ["nats-server: 2.12.0-RC.3", "2.12.0-RC.3"],
  ["something else", null],
])("reads the version out of %j", (text, version) => {
  expect(parseVersion(text)).toBe(version)
})

it("takes 2.12 and later", () => {
  expect(["2.9.10", "2.11.99", "2.12.0", "2.15.1", "3.0.0"].map(isNewEnough)).toEqual([false, false, true, true, true])
})

it("does not look further where NATS_SERVER is wrong", async () => {
  const error = await Effect.runPromise(Effect.flip(natsServer(undefined, { NATS_SERVER: "/nowhere/nats-server" })))
  expect(error.message).toContain("NATS_SERVER is /nowhere/nats-server")
  expect(error.hint).toContain("unset")
})
