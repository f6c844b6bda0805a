// The package as it is published: size, types, and its tarball in Node, in a
// Vite build, and under TypeScript.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { mutate } from './mutants.js'
import { mutations } from './mutations.js'

const client = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(await readFile(join(client, 'package.json'), 'utf8'))
const subpaths = Object.keys(manifest.exports).map(path => path.slice(1))
const MAX_BYTES = 5 * 1024

/** Runs a program, and returns what it prints. Its output is in the error if it fails. */
async function run(file, args, cwd) {
  try {
    return (await promisify(execFile)(file, args, { cwd })).stdout
  } catch (error) {
    throw new Error(`${file} ${args.join(' ')}:\n${error.stdout}${error.stderr}`)
  }
}

const tsc = (args, cwd) => run(process.execPath, [join(client, 'node_modules/typescript/bin/tsc'), ...args], cwd)

let folder // of an application that has installed the tarball

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-client-'))
  const [{ filename }] = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', folder], client))
  await run('tar', ['-xzf', filename], folder)
  await mkdir(join(folder, 'node_modules/@latchkey'), { recursive: true })
  await cp(join(folder, 'package'), join(folder, 'node_modules/@latchkey/client'), { recursive: true })
  for (const name of ['react', 'viem']) {
    await symlink(join(client, 'node_modules', name), join(folder, 'node_modules', name))
  }
  await writeFile(join(folder, 'package.json'), '{"type":"module","private":true}')
})
after(() => rm(folder, { recursive: true, force: true }))

test('the core is at most 5 KB, minified and gzipped', async t => {
  const { outputFiles: [core] } = await build({
    entryPoints: [join(client, 'latchkey.js')], bundle: true, minify: true, format: 'esm', write: false,
  })
  const size = gzipSync(core.contents, { level: 9 }).length
  t.diagnostic(`${size} bytes of ${MAX_BYTES}`)
  assert.ok(size <= MAX_BYTES, `${size} bytes`)
})

test('the lines of all mutations are as they stand', async () => {
  for (const mutation of mutations) {
    const text = await readFile(join(client, mutation.file), 'utf8')
    assert.notEqual(mutate(text, mutation), text, mutation.promise)
  }
  const promises = mutations.map(({ promise }) => promise)
  assert.deepEqual(promises.filter((promise, i) => promises.indexOf(promise) !== i), [])
})

test('no file of the package imports anything but its own files and React', async () => {
  for (const name of (await readdir(client)).filter(name => name.endsWith('.js'))) {
    const text = await readFile(join(client, name), 'utf8')
    for (const [, from] of text.matchAll(/^(?:import|export)[^']* from '([^']+)'/gm)) {
      assert.ok(from.startsWith('./') || name === 'react.js' && from === 'react', `${name} imports ${from}`)
    }
  }
  assert.equal(manifest.dependencies, undefined)
})

test('the tarball holds the modules, their types, and nothing else', async () => {
  const found = (await readdir(join(folder, 'package'), { recursive: true })).sort()
  const modules = (await readdir(client)).filter(name => name.endsWith('.js'))
  const types = modules.map(name => `types/${name.replace('.js', '.d.ts')}`)
  assert.deepEqual(found, ['README.md', 'package.json', 'types', ...modules, ...types].sort())
})

test('the types are those that tsc writes', async () => {
  const out = join(folder, 'written')
  await tsc(['-p', client, '--outDir', out])
  const names = (await readdir(out)).sort()
  assert.deepEqual((await readdir(join(client, 'types'))).sort(), names, 'run npm run types')
  for (const name of names) {
    const [own, written] = await Promise.all([join(client, 'types', name), join(out, name)]
      .map(path => readFile(path, 'utf8')))
    assert.equal(own, written, `${name}: run npm run types`)
  }
})

for (const [module, resolution] of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
  test(`a program that uses every export compiles with ${resolution}`, async () => {
    await compile('types.ts', '--module', module, '--moduleResolution', resolution)
  })
}

test('a program that uses viem compiles', () =>
  compile('viem.ts', '--module', 'esnext', '--moduleResolution', 'bundler', '--skipLibCheck'))

/** Compiles a file of this folder against the tarball. */
async function compile(name, ...options) {
  await cp(join(client, 'test', name), join(folder, name))
  await tsc(['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom', ...options, name], folder)
}

test('test/types.ts uses every export', async () => {
  const text = await readFile(join(client, 'test/types.ts'), 'utf8')
  for (const subpath of subpaths) {
    assert.ok(text.includes(`'@latchkey/client${subpath}'`), subpath)
    const exported = Object.keys(await import(`../${subpath.slice(1) || 'latchkey'}.js`))
    for (const name of exported) assert.match(text, new RegExp(`\\b${name}\\b`))
  }
  const { createLatchkey } = await import('../latchkey.js')
  const members = Object.keys(createLatchkey({ url: 'https://api.example.com' }))
  for (const name of members) assert.match(text, new RegExp(`latchkey\\.${name}\\b`))
})

test('Node imports the tarball', async () => {
  const imports = subpaths.map(path => `await import('@latchkey/client${path}')`).join('\n')
  await writeFile(join(folder, 'main.mjs'), `${imports}
    const { createLatchkey } = await import('@latchkey/client')
    console.log(createLatchkey({ url: 'https://api.example.com' }).getSnapshot().status)`)
  assert.equal(await run(process.execPath, ['main.mjs'], folder), 'loading\n')
})

test('Vite builds the tarball, and leaves out what is not used', async () => {
  await writeFile(join(folder, 'index.html'), '<script type="module" src="./page.js"></script>')
  await writeFile(join(folder, 'page.js'), `import { createLatchkey } from '@latchkey/client'
    import { createSIWX } from '@latchkey/client/siwx'
    import '@latchkey/client/rainbowkit'
    window.siwx = createSIWX(createLatchkey({ url: 'https://api.example.com' }))`)
  const { build } = await import('vite')
  const { output } = await build({ root: folder, logLevel: 'error', configFile: false, build: { write: false } })
  const code = output.map(chunk => chunk.code ?? '').join('')
  assert.match(code, /eip6963:announceProvider/)
  assert.match(code, /eip155|getSessions/)
  assert.doesNotMatch(code, /unauthenticated/)
})
