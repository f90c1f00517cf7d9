// One configuration for unit tests beside the library and end-to-end tests in test/.
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/packages/*/test/**/*.test.ts', '<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' }] },
  modulePathIgnorePatterns: ['<rootDir>/.cache/', '<rootDir>/packages/.*/dist/.*\\.d\\.ts'],
  testTimeout: 30_000,
}
