import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { type Decision, evaluate } from '../../src/policy/evaluate.ts'
import { visible } from '../../src/policy/filter-list.ts'
import type { Policy, PolicyCall, Rule } from '../../src/rules.ts'

const policy = (rules: unknown[], over: Partial<Policy> = {}): Policy => ({ default: 'allow', rules: rules as Rule[], ...over })
const call = (over: Partial<PolicyCall> = {}): PolicyCall => ({
  server: 'todo',
  method: 'tools/call',
  tool: 'add',
  arguments: {},
  annotations: {},
  subject: 'https://idp.example|ann',
  clientId: 'client-1',
  clientTrust: 'dynamic',
  scopes: ['read'],
  claims: {},
  ...over,
})
const outcome = async (policies: Policy | Policy[], over: Partial<PolicyCall> = {}): Promise<string> => (await evaluate([policies].flat(), call(over))).outcome
const sees = (policies: Policy | Policy[], name: string, over: Partial<PolicyCall> = {}, annotations?: Record<string, boolean>) =>
  visible([policies].flat(), call(over), { name, annotations })

describe('deciding a tool call', () => {
  it('allows without policies and by default', async () => {
    expect(await evaluate([], call())).toEqual({ outcome: 'allow', rule: 'default', dryRun: [] })
    expect(await evaluate([policy([])], call())).toEqual({ outcome: 'allow', rule: 'default', dryRun: [] })
  })

  it('needs an allow under default deny, and hides what has none', async () => {
    const closed = policy([{ allow: ['list', 'get_*'] }], { default: 'deny' })
    expect(await outcome(closed, { tool: 'list' })).toBe('allow')
    expect(await evaluate([closed], call({ tool: 'get_one' }))).toEqual({ outcome: 'allow', rule: 'rule 1', dryRun: [] })
    expect(await evaluate([closed], call({ tool: 'add' }))).toEqual({ outcome: 'hidden', rule: 'default', dryRun: [] })
  })

  it('lets a deny beat an allow, whatever the order', async () => {
    for (const rules of [
      [{ allow: ['*'] }, { deny: ['add'] }],
      [{ deny: ['add'] }, { allow: ['*'] }],
    ]) {
      expect(await outcome(policy(rules), { tool: 'add' })).toBe('hidden')
      expect(await outcome(policy(rules, { default: 'deny' }), { tool: 'other' })).toBe('allow')
    }
  })

  it('asks every policy: none widens what another refuses', async () => {
    const gateway = policy([{ deny: ['danger'] }])
    const server = policy([{ allow: ['danger', 'add'] }], { default: 'deny' })
    expect(await outcome([gateway, server], { tool: 'danger' })).toBe('hidden')
    expect(await outcome([gateway, server], { tool: 'add' })).toBe('allow')
    expect(await outcome([gateway, server], { tool: 'other' })).toBe('hidden')
    expect(await outcome([policy([], { default: 'deny' }), policy([{ allow: ['*'] }])])).toBe('hidden')
  })

  it('denies a call that names no tool', async () => {
    expect(await outcome(policy([{ allow: ['*'] }]), { tool: undefined })).toBe('deny')
  })

  it('tells the agent why, and the log which rule', async () => {
    const denied = policy([{ deny: ['pay'], because: 'Payments above 500 need a person.', name: 'limit', when: { arguments: { '/amount': { gt: 500 } } } }])
    expect(await evaluate([denied], call({ tool: 'pay', arguments: { amount: 501 } }))).toEqual({
      outcome: 'deny',
      rule: 'limit',
      reason: 'Payments above 500 need a person.',
      dryRun: [],
    })
    expect(await outcome(denied, { tool: 'pay', arguments: { amount: 500 } })).toBe('allow')
  })
})

describe('conditions', () => {
  const denyWhen = (when: unknown) => policy([{ deny: ['*'], when }])
  const allowWhen = (when: unknown) => policy([{ allow: ['*'], when }], { default: 'deny' })
  it.each<[string, unknown, Partial<PolicyCall>, boolean]>([
    ['client id', { client: { id: 'client-1' } }, {}, true],
    ['client id list', { client: { id: ['x', 'y'] } }, {}, false],
    ['trust', { client: { trust: 'dynamic' } }, {}, true],
    ['both of client', { client: { id: 'client-1', trust: 'document' } }, {}, false],
    ['subject', { subject: 'https://idp.example|ann' }, {}, true],
    ['another subject', { subject: 'https://idp.example|bob' }, {}, false],
    ['no subject', { subject: ['a', 'b'] }, { subject: undefined }, false],
    ['claim', { claims: { role: 'lead' } }, { claims: { role: 'lead' } }, true],
    ['one of the values', { claims: { role: ['lead', 'chief'] } }, { claims: { role: 'chief' } }, true],
    ['contained in the claim', { claims: { groups: 'ops' } }, { claims: { groups: ['dev', 'ops'] } }, true],
    ['claim is absent', { claims: { role: 'lead' } }, {}, false],
    ['inherited names are no claims', { claims: { constructor: 'x' } }, {}, false],
    ['scopes', { scopes: ['read'] }, {}, true],
    ['all scopes', { scopes: ['read', 'write'] }, {}, false],
    ['annotation', { annotations: { readOnlyHint: true } }, { annotations: { readOnlyHint: true } }, true],
    ['assumed annotation', { annotations: { readOnlyHint: false } }, { annotations: {} }, true],
    ['assumed destructive', { annotations: { destructiveHint: true } }, { annotations: undefined }, true],
    ['eq', { arguments: { '/a/0/b~1c': { eq: { x: [1] } } } }, { arguments: { a: [{ 'b/c': { x: [1] } }] } }, true],
    ['whole document', { arguments: { '': { eq: { a: 1, b: 2 } } } }, { arguments: { b: 2, a: 1 } }, true],
    ['in', { arguments: { '/a': { in: [1, 2] } } }, { arguments: { a: 2 } }, true],
    ['not in', { arguments: { '/a': { in: [1, 2] } } }, { arguments: { a: '2' } }, false],
    ['range', { arguments: { '/a': { gt: 1, lte: 2 } } }, { arguments: { a: 2 } }, true],
    ['below', { arguments: { '/a': { lt: 2 } } }, { arguments: { a: 2 } }, false],
    ['at least', { arguments: { '/a': { gte: 2 } } }, { arguments: { a: 2 } }, true],
    ['matches', { arguments: { '/path': { matches: '/etc/*' } } }, { arguments: { path: '/etc/passwd' } }, true],
    ['exists', { arguments: { '/a': { exists: true } } }, { arguments: { a: null } }, true],
    ['exists not', { arguments: { '/a': { exists: false } } }, { arguments: {} }, true],
    ['inherited names are no arguments', { arguments: { '/constructor': { exists: true } } }, { arguments: {} }, false],
    ['array length is no argument', { arguments: { '/length': { exists: true } } }, { arguments: [1, 2] }, false],
    ['index with a leading zero', { arguments: { '/01': { exists: true } } }, { arguments: [1, 2] }, false],
    ['no arguments at all', { arguments: { '/a': { lt: 5 } } }, { arguments: undefined }, false],
    ['two conditions', { scopes: ['read'], claims: { role: 'x' } }, {}, false],
  ])('%s', async (_name, when, over, holds) => {
    expect(await outcome(denyWhen(when), over)).toEqual(holds ? expect.stringMatching(/deny|hidden/) : 'allow')
    expect(await outcome(allowWhen(when), over)).toEqual(holds ? 'allow' : expect.stringMatching(/deny|hidden/))
  })

  it.each<[string, unknown, Partial<PolicyCall>]>([
    ['a number as text', { arguments: { '/amount': { gt: 500 } } }, { arguments: { amount: '9999' } }],
    ['a list for text', { arguments: { '/path': { matches: '/etc/*' } } }, { arguments: { path: ['/etc/passwd'] } }],
    ['an annotation nobody has seen', { annotations: { title: 'x' } }, { annotations: undefined }],
  ])('what cannot be compared counts against the caller: %s', async (_name, when, over) => {
    expect(await outcome(denyWhen(when), over)).toMatch(/deny|hidden/)
    expect(await outcome(allowWhen(when), over)).toMatch(/deny|hidden/)
    expect(await outcome(policy([{ tools: ['*'], requireScopes: ['write'], when }]), over)).toBe('insufficient_scope')
  })

  it.each<[string, unknown]>([
    ['an unknown condition', { allow: ['*'], when: { ip: '10.0.0.1' } }],
    ['an unknown operator', { allow: ['*'], when: { arguments: { '/a': { like: 'x' } } } }],
    ['a pointer that is none', { deny: ['other*', '*'], when: { arguments: { a: { eq: 1 } } } }],
    ['a bound that is no number', { tools: ['*'], requireScopes: ['read'], when: { arguments: { '/a': { lt: '5' } } } }],
  ])('an error in a rule is a deny: %s', async (_name, rule) => {
    const decision = await evaluate([policy([rule])], call({ arguments: { a: 1 } }))
    expect(decision.outcome).toMatch(/deny|hidden/)
    expect((decision as { detail?: string }).detail).toMatch(/rule 1 failed/)
  })
})

describe('step-up', () => {
  const stepUp = policy([
    { tools: ['del_*'], requireScopes: ['write'] },
    { tools: ['del_all'], requireScopes: ['admin', 'write'], name: 'all' },
  ])
  it('asks for all missing scopes at once, and for none that is held', async () => {
    expect(await evaluate([stepUp], call({ tool: 'del_all' }))).toEqual({
      outcome: 'insufficient_scope',
      rule: 'rule 1',
      scopes: ['write', 'admin'],
      dryRun: [],
    })
    expect(await evaluate([stepUp, policy([{ tools: ['*'], requireScopes: ['audit'] }])], call({ tool: 'del_all', scopes: ['write'] }))).toEqual({
      outcome: 'insufficient_scope',
      rule: 'all',
      scopes: ['admin', 'audit'],
      dryRun: [],
    })
    expect(await outcome(stepUp, { tool: 'del_all', scopes: ['write', 'admin'] })).toBe('allow')
    expect(await outcome(stepUp, { tool: 'add' })).toBe('allow')
  })
  it('is a condition, not an allow, and never the way round a deny', async () => {
    expect(await outcome(policy([{ tools: ['*'], requireScopes: ['read'] }], { default: 'deny' }))).toBe('hidden')
    expect(
      await outcome(
        policy([
          { tools: ['*'], requireScopes: ['write'] },
          { deny: ['*'], when: { arguments: { '/a': { eq: 1 } } } },
        ]),
        { arguments: { a: 1 } },
      ),
    ).toBe('deny')
  })
})

describe('dry-run', () => {
  it('is noted and not enforced', async () => {
    const trial = policy([
      { deny: ['add'], mode: 'dry-run', name: 'no-add' },
      { tools: ['*'], requireScopes: ['write'], mode: 'dry-run' },
      { deny: ['other'], mode: 'dry-run' },
    ])
    expect(await evaluate([trial], call())).toEqual({ outcome: 'allow', rule: 'default', dryRun: ['no-add', 'rule 2'] })
    expect(sees(trial, 'add')).toBe(true)
  })
})

describe('methods', () => {
  it.each(['initialize', 'ping', 'server/discover', 'tools/list', 'notifications/cancelled', 'notifications/initialized'])(
    'never refuses %s',
    async (method) => {
      const closed = policy([], { default: 'deny', methods: { allow: [], deny: ['*'] }, decide: () => 'deny' })
      expect(await outcome(closed, { method, tool: undefined })).toBe('allow')
    },
  )
  it.each<[Partial<Policy>, string, string]>([
    [{}, 'resources/read', 'allow'],
    [{ default: 'deny' }, 'resources/read', 'deny'],
    [{ default: 'deny', methods: { allow: ['resources/*'] } }, 'resources/read', 'allow'],
    [{ default: 'deny', methods: { allow: ['resources/*'] } }, 'prompts/get', 'deny'],
    [{ methods: { allow: ['resources/*'] } }, 'prompts/get', 'deny'],
    [{ methods: { allow: ['*'], deny: ['tasks/*'] } }, 'tasks/cancel', 'deny'],
    [{ methods: { deny: ['tasks/*'] } }, 'prompts/get', 'allow'],
    [{ methods: { deny: ['tools/call'] } }, 'notifications/x', 'allow'],
  ])('%j %s: %s', async (over, method, expected) => {
    expect(await outcome(policy([{ deny: ['never'] }], over), { method, tool: undefined })).toBe(expected)
  })
})

describe('decide', () => {
  const hook = (decide: unknown, over: Partial<Policy> = {}) => policy([], { decide: decide as NonNullable<Policy['decide']>, ...over })
  it.each<[string, unknown, string]>([
    ['abstains', () => 'abstain', 'allow'],
    ['allows', () => 'allow', 'allow'],
    ['denies', () => 'deny', 'deny'],
    ['denies later', async () => ({ deny: 'Not today.' }), 'deny'],
    ['gives true', () => true, 'deny'],
    ['gives nothing', () => undefined, 'deny'],
    ['gives Allow', () => 'Allow', 'deny'],
    ['gives an object', () => ({ allow: true }), 'deny'],
    [
      'throws',
      () => {
        throw new Error('x')
      },
      'deny',
    ],
    ['rejects', () => Promise.reject(new Error('x')), 'deny'],
  ])('that %s', async (_name, decide, expected) => {
    expect(await outcome(hook(decide))).toBe(expected)
  })
  it('gives its words to the agent, and errors to the log alone', async () => {
    expect(await evaluate([hook(() => ({ deny: 'Not today.' }))], call())).toMatchObject({ reason: 'Not today.', rule: 'decide' })
    const failed = await evaluate([hook(() => Promise.reject(new Error('db password is hunter2')))], call())
    expect(failed).toMatchObject({ outcome: 'deny', rule: 'decide', detail: expect.stringContaining('hunter2') })
    expect((failed as { reason: string }).reason).not.toContain('hunter2')
  })
  it('stands in for an allow under default deny, and never beats a deny', async () => {
    expect(await outcome(hook(() => 'allow', { default: 'deny' }))).toBe('allow')
    expect(await outcome(hook(() => 'abstain', { default: 'deny' }))).toBe('deny')
    expect(await outcome({ ...hook(() => 'allow'), rules: [{ deny: ['add'] }] })).toBe('hidden')
  })
  it('is not asked of what a rule denies', async () => {
    let asked = 0
    const counting = hook(() => {
      asked++
      return 'allow'
    })
    await evaluate([{ ...counting, rules: [{ deny: ['add'] }] }], call())
    expect(asked).toBe(0)
    await evaluate([counting], call())
    expect(asked).toBe(1)
  })
})

describe('lists', () => {
  it.each<[string, Policy, boolean]>([
    ['no rule', policy([]), true],
    ['denied', policy([{ deny: ['a*'] }]), false],
    ['denied for some arguments', policy([{ deny: ['*'], when: { arguments: { '/x': { eq: 1 } } } }]), true],
    ['allowed for some arguments', policy([{ allow: ['*'], when: { arguments: { '/x': { eq: 1 } } } }], { default: 'deny' }), true],
    ['allowed with more scopes', policy([{ allow: ['*'], when: { scopes: ['write'] } }], { default: 'deny' }), true],
    ['denied to those with a scope', policy([{ deny: ['*'], when: { scopes: ['read'] } }]), false],
    ['allowed to others', policy([{ allow: ['*'], when: { subject: 'other' } }], { default: 'deny' }), false],
    ['scopes required', policy([{ tools: ['*'], requireScopes: ['write'] }]), true],
    ['left to a hook', policy([], { default: 'deny', decide: () => 'deny' }), true],
    ['a broken rule', policy([{ deny: ['*'], when: { nothing: 1 } }]), false],
  ])('%s', (_name, given, expected) => {
    expect(sees(given, 'add')).toBe(expected)
  })

  it('hides by annotations what the caller may never call', () => {
    const readers = policy([{ deny: ['*'], when: { annotations: { readOnlyHint: false }, client: { trust: 'dynamic' } } }])
    expect(sees(readers, 'list', {}, { readOnlyHint: true })).toBe(true)
    expect(sees(readers, 'add', {}, {})).toBe(false)
    expect(sees(readers, 'add', { clientTrust: 'preregistered' }, {})).toBe(true)
  })

  const tool = fc.constantFrom('a', 'b')
  const tools = fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 2 })
  const when = fc.option(
    fc.record(
      {
        arguments: fc.record({ '/x': fc.record({ lt: fc.integer({ min: 0, max: 4 }) }) }),
        scopes: fc.subarray(['read', 'write']),
        client: fc.record({ trust: fc.constantFrom('dynamic', 'document') }),
      },
      { requiredKeys: [] },
    ),
    { nil: undefined },
  )
  const rule = fc.oneof(
    fc.record({ allow: tools, when }),
    fc.record({ deny: tools, when }),
    fc.record({ tools, requireScopes: fc.subarray(['read', 'write'], { minLength: 1 }), when }),
  )
  const anyPolicy = fc.record({ default: fc.constantFrom('allow', 'deny'), rules: fc.array(rule, { maxLength: 4 }) })

  it('shows every tool that some call of this caller can pass, and never lets a hidden one pass', async () => {
    const policies = fc.array(anyPolicy, { maxLength: 2 }) as unknown as fc.Arbitrary<Policy[]>
    await fc.assert(
      fc.asyncProperty(
        policies,
        tool,
        fc.constantFrom('dynamic', 'document'),
        fc.subarray(['read', 'write']),
        fc.integer({ min: 0, max: 4 }),
        async (given, name, trust, scopes, x) => {
          const clean = given.map((one) => ({
            ...one,
            rules: one.rules.map(({ when: condition, ...rest }) => (condition ? { ...rest, when: condition } : rest) as Rule),
          }))
          const over = call({ tool: name, clientTrust: trust as 'dynamic', scopes, arguments: { x } })
          const decision: Decision = await evaluate(clean, over)
          const shown = visible(clean, over, { name, annotations: {} })
          if (decision.outcome === 'allow' || decision.outcome === 'insufficient_scope') expect(shown).toBe(true)
          expect(decision.outcome === 'hidden').toBe(!shown)
        },
      ),
      { numRuns: 1500 },
    )
  })
})
