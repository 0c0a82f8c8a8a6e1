import { describe, expect, it } from "vitest"
import { observeAnswer } from "./http.ts"
import { counter, gauge, gaugeOf, hopLag, lagSeconds, observeLag } from "./metrics.ts"

const text = () => observeAnswer("/metrics", "test", () => [])!.body.split("\n")

describe("metrics", () => {
  it("are written in Prometheus' text format", () => {
    counter("tideline_test_total", "Things", { kind: "a" }).add(3)
    const held = gauge("tideline_test_held", "Held")
    held.set(5)
    held.add(-1)
    gaugeOf("tideline_test_read", "Read", () => 7)
    const lines = text()
    expect(lines).toContain('tideline_test_total{kind="a"} 3')
    expect(lines).toContain("# TYPE tideline_test_total counter")
    expect(lines).toContain("tideline_test_held 4")
    expect(lines).toContain("tideline_test_read 7")
  })

  it("count each lag once, in the first bucket that holds it, and add up", () => {
    const lag = hopLag("published")
    lag.observe(0.0005)
    lag.observe(0.004, 10)
    lag.observe(600)
    observeLag(lag, "not a time", 0)
    const lines = text().filter((line) => line.startsWith("tideline_hop_lag_seconds"))
    expect(lines).toContain('tideline_hop_lag_seconds_bucket{hop="published",le="0.0005"} 1')
    expect(lines).toContain('tideline_hop_lag_seconds_bucket{hop="published",le="0.003"} 1')
    expect(lines).toContain('tideline_hop_lag_seconds_bucket{hop="published",le="0.005"} 11')
    expect(lines).toContain('tideline_hop_lag_seconds_bucket{hop="published",le="60"} 11')
    expect(lines).toContain('tideline_hop_lag_seconds_bucket{hop="published",le="+Inf"} 12')
    expect(lines).toContain('tideline_hop_lag_seconds_count{hop="published"} 12')
  })

  it("read a lag to the microsecond, and never below 0", () => {
    const now = Date.UTC(2026, 0, 2, 3, 4, 5, 10)
    expect(lagSeconds("2026-01-02T03:04:05.008500Z", now)).toBeCloseTo(0.0015, 9)
    expect(lagSeconds("2026-01-02T03:04:05.008Z", now)).toBeCloseTo(0.002, 9)
    expect(lagSeconds("2026-01-02T03:04:05Z", now)).toBeCloseTo(0.01, 9)
    expect(lagSeconds("2026-01-02T03:04:06Z", now)).toBe(0)
    expect(lagSeconds("soon", now)).toBeNaN()
  })
})
