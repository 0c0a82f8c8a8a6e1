/** Colours people chose become hues, so that one pair of tokens keeps them legible on light and dark grounds. */

/** Degrees for any text, the same on every machine; neighbours in the alphabet lie far apart. */
export const hueOfText = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return Math.round(((hash >>> 0) * 0.618_033_988_75) % 360)
}

const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i

/** The OKLCH hue of `#rrggbb`; of any other text, as `hueOfText`. */
export const hueOf = (colour: string): number => {
  const match = hex.exec(colour)
  if (match === null) return hueOfText(colour)
  const [r, g, b] = match.slice(1).map((part) => {
    const c = Number.parseInt(part, 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  const l = Math.cbrt(0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b)
  const m = Math.cbrt(0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b)
  const s = Math.cbrt(0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b)
  const a = 1.977_998_495_1 * l - 2.428_592_205 * m + 0.450_593_709_9 * s
  const bb = 0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766 * s
  return Math.round((Math.atan2(bb, a) * 180) / Math.PI + 360) % 360
}
