/** Scope → all that it includes, directly or through others, itself left out. */
export type ScopeHierarchy = Record<string, string[]>

/**
 * The scopes that are held, with all that they include: "a broader scope satisfies a narrower need" (BC-13).
 *
 * @returns the held ones first, in their order; none twice
 */
export function withIncluded(hierarchy: ScopeHierarchy, held: readonly string[]): string[] {
  const included = held.flatMap((scope) => (Object.hasOwn(hierarchy, scope) ? (hierarchy[scope] as string[]) : []))
  return [...new Set([...held, ...included])]
}

/**
 * Follows a hierarchy as it was written down to its end.
 *
 * @param direct scope → scopes that it includes directly
 * @returns every scope with all that it includes, or a scope that would include itself
 */
export function closeHierarchy(direct: Record<string, readonly string[]>): { hierarchy: ScopeHierarchy } | { circular: string } {
  const hierarchy: ScopeHierarchy = {}
  for (const scope of Object.keys(direct)) {
    const found = new Set<string>()
    const open = [...(direct[scope] as string[])]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (next === scope) return { circular: scope }
      if (found.has(next)) continue
      found.add(next)
      if (Object.hasOwn(direct, next)) open.push(...(direct[next] as string[]))
    }
    hierarchy[scope] = [...found]
  }
  return { hierarchy }
}
