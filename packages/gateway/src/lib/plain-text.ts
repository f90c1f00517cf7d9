/**
 * Makes text that a stranger chose fit for one line of a page: control and format characters (which hide or turn letters around), private-use and lone surrogates go,
 * runs of white space become one space.
 *
 * @param max in characters
 */
export function oneLine(text: string, max: number): string {
  const clean = text
    .toWellFormed()
    .replace(/[\p{Cf}\p{Co}\p{Cn}]/gu, '')
    .replace(/\s+/gu, ' ')
    .replace(/\p{Cc}/gu, '')
    .trim()
  return [...clean].slice(0, max).join('')
}
