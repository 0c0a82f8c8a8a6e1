import type { Check } from "./check.ts"

export const state: Check = {
  name: "state",
  promise: "the living documents of STATE are the rows of the tracked tables",
  begin: () => {
    const documents = new Map<string, string>()
    return ({ state, tables }) => {
      const wrong: Array<string> = []
      for (const { subject, address, body } of state) {
        if (address.entity.startsWith("_")) continue
        if (body === "") documents.delete(subject)
        else documents.set(subject, body)
      }
      for (const [subject, row] of tables) {
        const document = documents.get(subject)
        if (document === undefined) wrong.push(`${subject} is a row, and not in STATE`)
        else if (document !== row) wrong.push(`${subject} is ${row}, in STATE ${document}`)
      }
      for (const subject of documents.keys()) if (!tables.has(subject)) wrong.push(`${subject} is in STATE, and no row`)
      return wrong
    }
  },
}
