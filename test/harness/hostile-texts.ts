/** Texts that end a header, a line, an attribute or an element, where they are put there as they are. */
export const hostileTexts: readonly [name: string, text: string][] = [
  ['a line break and a header', 'x\r\nSet-Cookie: stolen=1'],
  ['a line feed and a contract header', 'x\nX-Emcy-Subject: stolen'],
  ['a carriage return alone', 'x\rX-Emcy-Subject: stolen'],
  ['the end of the head, and a page', 'x\r\n\r\n<script>stolen()</script>'],
  ['a second event', 'x\n{"event":"stolen","level":"info"}'],
  ['a line separator of Unicode', 'x\u2028stolen\u2029'],
  ['a next-line and other controls', 'x\u0085\u001b[2Jstolen\u0007\u007f'],
  ['letters that turn the line around', '\u202estolen\u2066'],
  ['the end of an attribute', '"\'><img src=x onerror=stolen()>'],
  ['a script', '</title></textarea><script>stolen()</script>'],
  ['entities', '&lt;script&gt;&#x3c;b&#60;'],
  ['a lone surrogate and a letter of four bytes', '\ud800stolen\u{1f600}'],
  ['a very long one', `stolen${'s'.repeat(3000)}`],
]
