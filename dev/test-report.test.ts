import { expect, it } from "vitest"
import { countTests } from "./test-report.ts"

const file = (status: string, ...tests: ReadonlyArray<string>) => ({ status, assertionResults: tests.map((test) => ({ status: test })) })

it("counts what Vitest counted", () => {
  const report = { numPassedTests: 2, numFailedTests: 1, testResults: [file("passed", "passed"), file("failed", "passed", "failed")] }
  expect(countTests(report, 1)).toEqual({ passed: 2, failed: 1 })
})

it("counts a file that could not be run", () => {
  expect(countTests({ numPassedTests: 1, numFailedTests: 0, testResults: [file("passed", "passed"), file("failed")] }, 1)).toEqual({ passed: 1, failed: 1 })
})

it("does not call a bad end a success", () => {
  expect(countTests({ numPassedTests: 1, numFailedTests: 0, testResults: [file("passed", "passed")] }, 1)).toEqual({ passed: 1, failed: 1 })
  expect(countTests(null, 0)).toEqual({ passed: 0, failed: 1 })
})
