/**
 * The wire's version. `protocol/version.test.ts` hashes the message schemas: when they change, raise the version if an
 * older client would misread the new wire, and add a line to the history either way.
 *
 * History
 * - 1: the first.
 * - 1: stored messages may have `Tide-Window`, and there may be `_aside` events; whoever reads passes over both.
 * - 1: `authz.explain` can be asked.
 */
export const PROTOCOL_VERSION = 1

/** The WebSocket subprotocol that names the version. */
export const SUBPROTOCOL = `tideline.v${PROTOCOL_VERSION}`
