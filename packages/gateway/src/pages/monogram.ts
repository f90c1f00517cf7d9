/** The first letter or digit of a name, for a picture of something that has none. */
export function monogram(name: string): string {
  return (/[\p{L}\p{N}]\p{M}*/u.exec(name)?.[0] ?? '?').toUpperCase()
}
