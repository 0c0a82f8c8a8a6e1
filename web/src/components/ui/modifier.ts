/** What the key is called here that goes with K, Z and Enter. */
export const MODIFIER = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl"
