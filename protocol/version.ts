/**
 * The wire's version. `protocol/version.test.ts` hashes the message schemas: when they change, raise the version if an
 * older client would misread the new wire, and add a line to the history either way.
 *
 * History
 * - 1: the first.
 * - 1: stored messages may have `Tide-Window`, and there may be `_aside` events; whoever reads passes over both.
 * - 1: `authz.explain` can be asked.
 * - 1: a sign-out: ERROR `signed_out` with close 4001 (HTTP 401); AUTH_SUCCESS may have `sessionId`.
 * - 1: a cursor may name the changes of access that its holder was in the middle of; an edge that does not know that has the client start over. Edges ask `authz.views`.
 * - 1: between services only: `authz.view` is gone, which no edge asked any more.
 */
export const PROTOCOL_VERSION = 1

/** The WebSocket subprotocol that names the version. */
export const SUBPROTOCOL = `tideline.v${PROTOCOL_VERSION}`
