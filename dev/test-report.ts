/** Vitest's JSON report, as far as it is counted. */
import { Schema } from "effect"

export const Report = Schema.Struct({
  numPassedTests: Schema.Int,
  numFailedTests: Schema.Int,
  testResults: Schema.Array(Schema.Struct({ status: Schema.String, assertionResults: Schema.Array(Schema.Struct({ status: Schema.String })) })),
})
export type Report = typeof Report.Type

export interface Counted {
  readonly passed: number
  readonly failed: number
}

/**
 * What passed and what failed. A file that failed without a failed test (it could not be read, a hook threw) is one failure, and so is a
 * run that ended badly though nothing in the report says why, or left no report.
 */
export const countTests = (report: Report | null, exitCode: number): Counted => {
  if (report === null) return { passed: 0, failed: 1 }
  const brokenFiles = report.testResults.filter((file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed")).length
  const failed = report.numFailedTests + brokenFiles
  return { passed: report.numPassedTests, failed: failed === 0 && exitCode !== 0 ? 1 : failed }
}
