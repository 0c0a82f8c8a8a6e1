/** Milliseconds on the machine's monotonic clock: every process here reads the same one, so two of them can be subtracted. */
export const clockMs = (): number => Number(process.hrtime.bigint()) / 1e6
