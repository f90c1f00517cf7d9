// What `npm test` runs: build, checks, set-up of the real servers, every test, and the packed tarball in an empty project.
// Arguments are passed on to jest; with any, only the build and the named tests run.
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { check } from './check.mjs'
import { checkPack } from './check-pack.mjs'
import { root, run, step } from './run.mjs'
import { ensureServers } from './servers.mjs'

const report = join(root, '.cache/jest.json')
const chosen = process.argv.slice(2)
const total = { passed: 0, failed: 0 }
const count = (good) => (good ? total.passed++ : total.failed++)

/** Tests that load every core by themselves, with processes of their own: beside others they would starve them. */
const heavy = 'test/store/(backends|outages)|test/replicas/'

/** @param {string[]} args of jest, beside the common ones */
async function jest(args) {
  await rm(report, { force: true })
  const common = ['--experimental-vm-modules', '--no-warnings', join(root, 'node_modules/jest/bin/jest.js'), '--json', `--outputFile=${report}`]
  const code = await run(process.execPath, [...common, ...args], { env: { ...process.env, NODE_ENV: 'test' }, stdio: ['ignore', 'ignore', 'inherit'] })
  const result = JSON.parse(await readFile(report, 'utf8'))
  total.passed += result.numPassedTests
  total.failed += result.numFailedTests + result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
  if (result.numPendingTests + result.numTodoTests > 0) console.log(`${result.numPendingTests + result.numTodoTests} tests were skipped`)
  // A run that ended badly without a failed test (a crashed worker, no tests found) is a failure all the same.
  if (code !== 0 && total.failed === 0) total.failed++
  return code === 0
}

await mkdir(join(root, '.cache'), { recursive: true })
count(await step('build', async () => (await run(process.execPath, [join(root, 'scripts/build.mjs'), '--clean'])) === 0))
if (chosen.length === 0) {
  const { count: checks, failed } = await check()
  total.passed += checks - failed.length
  total.failed += failed.length
}
const servers = await step('servers: databases, Chromium, Python, Go', ensureServers)
if (!servers) total.failed++
if (chosen.length > 0) await step('tests', () => jest(chosen))
else {
  // Two workers on the two cores of a CI machine: the real servers of the tests need the rest.
  await step('tests', () => jest(['--maxWorkers=2', '--testPathIgnorePatterns', heavy]))
  await step('tests of the databases', () => jest(['--runInBand', '--testPathPatterns', heavy]))
}
if (chosen.length === 0) count(await step('package', checkPack))
console.log(`\n${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
