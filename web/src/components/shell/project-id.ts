/** The id of a new project: readable in an address, and nobody guesses it. An id that is taken would be refused, so two who found one at once must differ. Pure but for chance. */

/** Characters of chance at the end: 5 bits each. */
const CHANCE = 12
/** Without those that are read for one another. */
const LETTERS = "23456789abcdefghjkmnpqrstuvwxyz0"
const SLUG = 40

export const projectId = (name: string, random: Uint8Array = crypto.getRandomValues(new Uint8Array(CHANCE))): string => {
  const slug = name.normalize("NFKD").toLowerCase().replaceAll(/[\u0300-\u036F]/g, "").replaceAll(/[^a-z0-9]+/g, "-").slice(0, SLUG).replaceAll(/^-+|-+$/g, "")
  const chance = Array.from(random.subarray(0, CHANCE), (byte) => LETTERS[byte & 31]).join("")
  return `${slug === "" ? "project" : slug}-${chance}`
}
