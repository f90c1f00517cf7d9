/**
 * Matches a whole text against a glob: `*` is any run of characters, `?` exactly one (a UTF-16 unit), all else stands for itself, case included. No
 * backtracking beyond the last `*`, so the time is bounded by text × pattern and, for a given pattern, linear in the text.
 */
export function globMatches(glob: string, text: string): boolean {
  let at = 0
  let in_ = 0
  let star = -1
  let mark = 0
  while (at < text.length) {
    if (in_ < glob.length && glob[in_] === '*') {
      star = in_++
      mark = at
    } else if (in_ < glob.length && (glob[in_] === '?' || glob[in_] === text[at])) {
      at++
      in_++
    } else if (star >= 0) {
      in_ = star + 1
      at = ++mark
    } else return false
  }
  while (glob[in_] === '*') in_++
  return in_ === glob.length
}

/** Whether any of the globs matches. */
export function anyGlobMatches(globs: readonly string[], text: string): boolean {
  return globs.some((glob) => globMatches(glob, text))
}
