import { expect, it } from '@jest/globals'
import { isNewEnough } from '../../scripts/go-toolchain.mjs'

it.each([
  ['1.25.5', true],
  ['1.25.6', true],
  ['1.26', true],
  ['1.26.0', true],
  ['2.0', true],
  ['1.25.4', false],
  ['1.25', false],
  ['1.19.8', false],
  ['1.9.9', false],
])('Go %s builds what asks for 1.25.5: %s', (version, expected) => expect(isNewEnough(version, '1.25.5')).toBe(expected))
