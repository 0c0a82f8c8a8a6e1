/** A fingerprint guards the wire: whoever changes what is sent is asked whether older clients can still read it. */
import { Schema } from "effect"
import { createHash } from "node:crypto"
import { expect, it } from "vitest"
import { CLOSE } from "./close.ts"
import { formatCursor, viewToken } from "./cursor.ts"
import { Down, ERROR_CODES } from "./down.ts"
import { HEADER, formatTransaction } from "./event.ts"
import { REQUEST } from "./request.ts"
import { changeSubject, commandSubject } from "./subject.ts"
import { Up } from "./up.ts"
import { PROTOCOL_VERSION } from "./version.ts"

/** Of version 1, as it is now. */
const FINGERPRINT = "4d2dfd8f71365a50"

it("the wire is the one that the version names", () => {
  const wire = {
    version: PROTOCOL_VERSION,
    up: Schema.toJsonSchemaDocument(Up),
    down: Schema.toJsonSchemaDocument(Down),
    errors: ERROR_CODES,
    close: CLOSE,
    headers: HEADER,
    requests: REQUEST,
    transaction: formatTransaction({ xid: "7", position: 1, count: 2 }),
    subjects: [changeSubject({ scope: null, entity: "task", id: "a.b" }), commandSubject({ scope: "p", entity: "task", id: "_x" })],
    cursor: formatCursor({ epoch: "1-aa", seq: 36, access: 37, view: viewToken([{ entity: "task", scope: "p", id: null }]), partial: viewToken([]) }),
  }
  const fingerprint = createHash("sha256").update(JSON.stringify(wire)).digest("hex").slice(0, 16)
  expect(
    fingerprint,
    "What is sent has changed. If an older client would misread it, raise PROTOCOL_VERSION; either way add a line to the history in version.ts, then put the new fingerprint here.",
  ).toBe(FINGERPRINT)
})
