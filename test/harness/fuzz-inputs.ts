import fc from 'fast-check'

/** Texts that broke some server once. */
export const nastyTexts = [
  '',
  ' ',
  '0',
  '-1',
  '1e999',
  '9'.repeat(400),
  'NaN',
  'null',
  'undefined',
  'true',
  '[object Object]',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '\0',
  'a\0b',
  '\r\nX-Injected: 1',
  '%',
  '%0',
  '%zz',
  '%00',
  '%c0%af',
  '%ff%fe',
  '%u0041',
  '+',
  '&',
  '=',
  ';',
  '../../../../etc/passwd',
  'file:///etc/passwd',
  'https://[::1',
  'https://',
  'http://127.0.0.1:1/',
  '//evil.example',
  'javascript:alert(1)',
  '<script>alert(1)</script>',
  '"\'><img src=x>',
  '{{7*7}}',
  `$${'{7*7}'}`,
  "' OR 1=1 --",
  '(((((((((((((((((((((((((((((a+)+)+)+)$',
  '\ud800',
  '\udfff\ud800',
  '\u202e\u0000\uffff',
  '💥'.repeat(50),
  'x'.repeat(5_000),
  'x'.repeat(20_000),
  'ﬀ',
  'İ',
  'emcy_at_',
  'emcy_rt_x.1.x.x',
  `emcy_at_${'A'.repeat(24)}.0.${'A'.repeat(43)}.${'A'.repeat(22)}`,
  'a.b.c',
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.',
  'eyJhbGciOiJIUzI1NiJ9.bnVsbA.AAAA',
  'eyJhbGciOiJFUzI1NiJ9.W10.AAAA',
  'https://nothing.invalid/client',
  'urn:ietf:params:oauth:request_uri:x',
]

/** Any text: nasty, random of every kind of character, or one of the words that mean something here. */
export function anyText(words: readonly string[] = []): fc.Arbitrary<string> {
  const parts = [fc.constantFrom(...nastyTexts), fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 60 })]
  return words.length === 0 ? fc.oneof(...parts) : fc.oneof(...parts, fc.constantFrom(...words))
}

/** Text in a query or a form: well encoded, encoded twice, or raw as far as a request line can carry it. */
export function encodedText(words: readonly string[] = []): fc.Arbitrary<string> {
  return fc.tuple(anyText(words), fc.constantFrom('good', 'good', 'good', 'twice', 'raw')).map(([text, how]) => {
    const good = encodeURIComponent(text.toWellFormed())
    if (how === 'raw') return text.replace(/[^\x21-\x7e]/g, '').replaceAll('#', '')
    return how === 'twice' ? encodeURIComponent(good) : good
  })
}

/** A query string or a form of known and unknown names, some of them twice. */
export function anyForm(names: readonly string[], words: readonly string[] = []): fc.Arbitrary<string> {
  const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: encodedText() })
  return fc
    .array(fc.tuple(name, encodedText(words), fc.constantFrom('=', '=', '=', '')), { maxLength: 12 })
    .map((pairs) => pairs.map((pair) => [pair[0], pair[1]].join(pair[2])).join('&'))
}

/** A JSON text, often not a good one: deep, with members twice, with numbers that no double holds, cut, or not JSON at all. */
export function anyJson(names: readonly string[]): fc.Arbitrary<string> {
  const name = fc.oneof(fc.constantFrom(...names), fc.constantFrom('__proto__', 'constructor', 'toJSON', 'length', ''), anyText())
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }).map((json) => JSON.stringify(json)),
    anyText().map((text) => JSON.stringify(text)),
    fc.constantFrom('1e400', '-0', '123456789012345678901234567890', '"\\ud800"', '[[[]]]', '{}', '{"__proto__":{"x":1}}'),
  )
  const object = fc
    .array(fc.tuple(name, value), { maxLength: 8 })
    .map((members) => `{${members.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`)
  const broken = fc.tuple(object, fc.nat(40)).map(([text, at]) => text.slice(0, at))
  const deep = fc.tuple(fc.constantFrom('[', '{"a":', '[{"a":'), fc.integer({ min: 10, max: 5_000 })).map(([open, depth]) => open.repeat(depth))
  return fc.oneof(
    { weight: 5, arbitrary: object },
    broken,
    deep,
    anyText(),
    fc.constantFrom('', 'null', '[]', '""', '0', '\ufeff{}', 'nul', '{"a":1}{"a":2}', '{"a":1,}', "{'a':1}"),
  )
}

/** Headers as a request line can carry them; names that mean something here, values that often mean nothing. */
export function anyHeaders(words: readonly string[] = []): fc.Arbitrary<[string, string][]> {
  const names = [
    ...[
      'authorization',
      'cookie',
      'content-type',
      'accept',
      'accept-encoding',
      'accept-language',
      'origin',
      'referer',
      'dpop',
      'sec-fetch-site',
      'te',
      'range',
      'if-match',
    ],
    ...['mcp-protocol-version', 'mcp-session-id', 'mcp-method', 'mcp-name', 'mcp-param-x', 'last-event-id', 'x-emcy-worker-secret', 'x-emcy-subject'],
    ...['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-http-method-override', 'access-control-request-method', 'prefer'],
  ]
  const value = fc.oneof(
    anyText(words),
    anyText(words).map((text) => `Bearer ${text}`),
    anyText().map((text) => `Basic ${Buffer.from(text).toString('base64')}`),
    anyText(words).map((text) => `DPoP ${text}`),
    fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/json; charset=utf-16',
      'text/event-stream',
      '2026-07-28',
      '2025-11-25',
      '*/*;q=x',
      'null',
    ),
  )
  // What Node's parser refuses by itself (fuzz-raw has it) would hide what comes behind it.
  const clean = value.map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 4_000))
  return fc.array(fc.tuple(fc.constantFrom(...names), clean), { maxLength: 4 })
}
