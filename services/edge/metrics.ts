/** What an edge counts. Made once; hot loops add to plain numbers. */
import type { Histogram } from "#observe/metrics.ts"
import { counter, DURATION_BOUNDARIES, histogram, hopLag, lagSeconds } from "#observe/metrics.ts"

export const metrics = {
  dispatchedLag: hopLag("dispatched"),
  sentLag: hopLag("sent"),
  events: counter("tideline_edge_events_total", "Changes taken from the log"),
  deliveries: counter("tideline_edge_deliveries_total", "Changes handed to connections live"),
  frames: counter("tideline_edge_frames_total", "Frames handed to sockets"),
  bytes: counter("tideline_edge_frame_bytes_total", "Bytes of frames handed to sockets, about"),
  refused: counter("tideline_edge_refused_deliveries_total", "Deliveries that the last check against the user's grants stopped: always 0 unless the index is wrong"),
  slow: counter("tideline_edge_slow_total", "Times a connection left the live flow because its socket was full"),
  resets: counter("tideline_edge_resets_total", "Connections told to start over"),
  askedAll: counter("tideline_edge_asked_all_total", "Questions that one authz did not answer in time and all were asked"),
  signedOut: counter("tideline_edge_signed_out_total", "Connections ended because their user or session was signed out"),
  touched: counter("tideline_edge_touched_total", "Connections whose access an event of the log touched"),
  replaySeconds: histogram("tideline_edge_replay_seconds", "Seconds a reading of STATE took, its waiting included", DURATION_BOUNDARIES),
  replayed: counter("tideline_edge_replayed_total", "Changes given from STATE"),
  ringServed: counter("tideline_edge_ring_catch_ups_total", "Catch-ups served from the ring alone"),
}

/** Notes the lag of several changes of one time: those of a transaction have the same. */
export const observeLags = (lag: Histogram, at: string, now: number, changes: number): void => {
  const seconds = lagSeconds(at, now)
  if (!Number.isNaN(seconds)) lag.observe(seconds, changes)
}
