// docs/openapi.json and docs/asyncapi.json for those who read them with tools:
// they pass a linter, and the first makes types that compile.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const client = fileURLToPath(new URL('..', import.meta.url))
const documentPath = fileURLToPath(new URL('../../docs/openapi.json', import.meta.url))
const eventsPath = fileURLToPath(new URL('../../docs/asyncapi.json', import.meta.url))
const programs = {
  openapiTypescript: 'openapi-typescript/bin/cli.js',
  redocly: '@redocly/cli/bin/cli.js',
  tsc: 'typescript/bin/tsc',
}
// The linter neither reports what it did nor asks for a newer version.
const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1' }

/** Runs a program of a package. It returns its exit code and what it prints. */
function run(program, ...args) {
  const file = join(client, 'node_modules', programs[program])
  return new Promise(resolve => execFile(process.execPath, [file, ...args], { cwd: folder, env },
    (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr })))
}

/** Lints a document. It returns the problems that the linter finds. */
async function lint(path) {
  const { stdout, stderr } = await run('redocly', 'lint', '--config', join(client, 'test/redocly.yaml'),
    '--format', 'json', '--max-problems', '1000', path)
  assert.match(stdout, /^\{/, stderr)
  const { totals, problems } = JSON.parse(stdout)
  assert.equal(totals.errors + totals.warnings + totals.ignored, problems.length)
  return problems.map(({ ruleId, severity, message }) => `${severity} ${ruleId}: ${message}`)
}

/** Compiles openapi.ts with the types of a document. It returns what tsc prints. */
async function compile(path) {
  const made = await run('openapiTypescript', path, '-o', join(folder, 'api.d.ts'))
  assert.equal(made.code, 0, made.stdout + made.stderr)
  assert.doesNotMatch(made.stdout + made.stderr, /warn|error/i)
  return (await run('tsc', '--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom',
    '--module', 'nodenext', '--moduleResolution', 'nodenext', 'openapi.ts')).stdout
}

/** Writes a document with a change. It returns its path. */
async function changed(change) {
  const document = JSON.parse(await readFile(documentPath, 'utf8'))
  change(document)
  const path = join(folder, 'changed.json')
  await writeFile(path, JSON.stringify(document))
  return path
}

let folder

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latchkey-openapi-'))
  await mkdir(join(folder, 'node_modules/@latchkey'), { recursive: true })
  await symlink(client, join(folder, 'node_modules/@latchkey/client'))
  await writeFile(join(folder, 'package.json'), '{"type":"module","private":true}')
  await cp(join(client, 'test/openapi.ts'), join(folder, 'openapi.ts'))
})
after(() => rm(folder, { recursive: true, force: true }))

test('the linter has nothing to say', async () => {
  assert.deepEqual(await lint(documentPath), [])
})

test('the linter notices an example that its schema does not allow', async () => {
  const path = await changed(document => {
    document.components.responses.NotFound.content['application/problem+json'].examples.not_found.value.code = 'conflict'
  })
  assert.match((await lint(path)).join('\n'), /no-invalid-media-type-examples/)
})

test('the linter has nothing to say about the events', async () => {
  assert.deepEqual(await lint(eventsPath), [])
})

test('the linter notices an event that is not there', async () => {
  const text = await readFile(eventsPath, 'utf8')
  const path = join(folder, 'asyncapi.json')
  await cp(join(eventsPath, '../events.schema.json'), join(folder, 'events.schema.json'))
  await writeFile(path, text.replaceAll('#/components/messages/SessionEnded"', '#/components/messages/SessionGone"'))
  assert.match((await lint(path)).join('\n'), /Can't resolve \$ref/)
})

test('a program that uses the types compiles', async () => {
  assert.equal(await compile(documentPath), '')
})

test('it does not compile if a field of the document has another type', async () => {
  const path = await changed(document => {
    document.components.schemas.Session.properties.chainId = { type: 'string' }
  })
  assert.match(await compile(path), /openapi\.ts.*error/)
})
