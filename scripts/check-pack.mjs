// Packs the library, lints the tarball, and uses it the way a stranger would: installed into an empty project outside this workspace, imported, type-checked.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { output, root, run } from './run.mjs'

const entries = ['@emcy/gateway', '@emcy/gateway/testing', '@emcy/gateway/worker']
const bin = (name) => join(root, 'node_modules/.bin', name)
const must = (code, what) => {
  if (code !== 0) throw new Error(`${what} ended with ${code}`)
}

/** Packs `packages/gateway` into a folder of its own; the tarball's path. */
async function pack(folder) {
  await output('npm', ['pack', '--pack-destination', folder, '--loglevel', 'error'], { cwd: join(root, 'packages/gateway') })
  const [tarball, ...others] = (await readdir(folder)).filter((file) => file.endsWith('.tgz'))
  if (tarball === undefined || others.length > 0) throw new Error(`expected one tarball in ${folder}`)
  return join(folder, tarball)
}

/** Fails when the tarball holds what is of no use to a user, or lacks what the manifest names. */
async function checkContents(tarball) {
  const files = (await output('tar', ['-tzf', tarball])).trim().split('\n')
  // The sources go along: the maps of the compiled files point there.
  const needed = [
    'package/package.json',
    'package/LICENSE',
    'package/README.md',
    'package/bin/emcy-gateway.js',
    'package/dist/index.js',
    'package/dist/index.d.ts',
  ]
  for (const file of needed) if (!files.includes(file)) throw new Error(`the tarball lacks ${file}`)
  const stray = files.filter((file) => /tsbuildinfo|\.test\.|node_modules/.test(file))
  if (stray.length > 0) throw new Error(`the tarball holds ${stray.join(', ')}`)
}

/** Installs the tarball from its own manifest, nothing of this workspace in reach. */
async function install(project, tarball) {
  await mkdir(project)
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
  const args = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel', 'error', '--cache', join(root, '.cache/npm'), tarball]
  must(await run('npm', args, { cwd: project }), 'npm install of the tarball')
}

const consumer = `
import { createGateway, type GatewayOptions } from '@emcy/gateway'
import { workerContract } from '@emcy/gateway/worker'
import * as testing from '@emcy/gateway/testing'
const options: GatewayOptions = { publicUrl: 'http://127.0.0.1:1', servers: { todo: { path: '/mcp', runtime: 'http://127.0.0.1:2/mcp', workerSecret: 'a'.repeat(32) } } }
const gateway = createGateway(options)
await gateway.close()
console.log(typeof workerContract, Object.keys(testing).length > 0)
`

/** Imports every entry and runs the command; type-checks a small user with declarations checked too. */
async function use(project) {
  for (const entry of entries) {
    const names = await output(process.execPath, ['-e', `import('${entry}').then((m) => console.log(Object.keys(m).join(' ')))`], { cwd: project })
    if (names.trim() === '') throw new Error(`${entry} exports nothing`)
    console.log(`${entry}: ${names.trim()}`)
  }
  const secret = await output(join(project, 'node_modules/.bin/emcy-gateway'), ['keygen'], { cwd: project })
  if (secret.trim().length < 32) throw new Error('emcy-gateway keygen printed no secret')
  await writeFile(join(project, 'consumer.ts'), consumer)
  const compilerOptions = {
    module: 'NodeNext',
    target: 'ES2024',
    lib: ['ES2024'],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  must(await run(bin('tsc'), ['-p', project]), 'type check of a user')
}

/** Throws on the first thing that is wrong with the package as published. */
export async function checkPack() {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-pack-'))
  try {
    const tarball = await pack(folder)
    await checkContents(tarball)
    must(await run(bin('publint'), ['run', '--strict', tarball]), 'publint')
    must(await run(bin('attw'), ['--profile', 'esm-only', '--format', 'ascii', '--no-emoji', tarball]), 'attw')
    const project = join(folder, 'project')
    await install(project, tarball)
    await use(project)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  await checkPack()
  console.log('package: ok')
}
