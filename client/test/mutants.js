// Weakens the client in one line at a time, in a copy of the folder, and checks
// that a test fails each time. Run it with npm run mutants. Arguments choose
// the mutations whose promise or file contains one of them.

import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mutations } from './mutations.js'

const client = fileURLToPath(new URL('..', import.meta.url))
const env = { ...process.env, LATCHKEY_ROOT: fileURLToPath(new URL('../..', import.meta.url)) }
const MAX_MS = 120_000

// What the TAP reporter prints.
const FAILURE = /^ *not ok [^]*?^ *\.\.\.$/m
const PASSED = /^# fail 0\n# cancelled 0$/m

/** Returns the text of a file with the lines of a mutation replaced. */
export function mutate(text, { file, line, weakened }) {
  const [lines, wanted] = [text, line].map(own => own.split('\n'))
  const isAt = i => wanted.every((own, j) => lines[i + j]?.trim() === own)
  const places = lines.flatMap((own, i) => isAt(i) ? [i] : [])
  if (places.length !== 1) throw new Error(`${file} has this ${places.length} times: ${line}`)
  return lines.toSpliced(places[0], wanted.length, weakened).join('\n')
}

/** Copies what the tests need into a new folder. */
async function copy() {
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-mutants-'))
  for (const name of await readdir(client)) {
    if (name.endsWith('.js') || name === 'package.json') await cp(join(client, name), join(folder, name))
  }
  await cp(join(client, 'test'), join(folder, 'test'), { recursive: true })
  await symlink(join(client, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/**
 * Runs a test file in a folder, and returns what it prints. With isQuick it ends
 * at the first failure. A test that started a server must stop it itself.
 */
function runTests(folder, name, { pattern, isQuick = false } = {}) {
  const only = pattern ? ['--test-name-pattern', pattern] : []
  const child = spawn(process.execPath, ['--test-reporter', 'tap', ...only, `test/${name}.test.js`],
    { cwd: folder, env, stdio: ['ignore', 'pipe', 'ignore'], timeout: MAX_MS })
  let output = ''
  child.stdout.on('data', text => {
    output += text
    if (isQuick && FAILURE.test(output)) child.kill()
  })
  return new Promise(resolve => child.on('close', () => resolve(output)))
}

/** Tests one mutation, and returns `caught` or what is wrong. */
async function test(mutation) {
  const folder = await copy()
  try {
    const path = join(folder, mutation.file)
    await writeFile(path, mutate(await readFile(path, 'utf8'), mutation))
    const { by = 'fake', test: pattern } = mutation
    const output = await runTests(folder, by, { pattern, isQuick: by === 'fake' })
    const [failure] = FAILURE.exec(output) ?? []
    const [, unknown] = /(\w+) is not defined/.exec(failure) ?? []
    if (unknown && mutation.weakened.includes(unknown)) return `BROKEN: ${unknown} is not defined`
    if (failure) return 'caught'
    return PASSED.test(output) ? 'SURVIVED' : 'BROKEN: the tests do not run to their end'
  } catch (error) {
    return `BROKEN: ${error.message}`
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Runs all mutations, some at the same time, and returns how many are not caught. */
async function main(words) {
  const chosen = mutations.filter(({ promise, file }) =>
    !words.length || words.some(word => `${file} ${promise}`.includes(word)))
  for (const name of new Set(chosen.map(({ by = 'fake' }) => by))) {
    const output = await runTests(client, name)
    if (!PASSED.test(output)) {
      console.log(`${output}\nwithout a mutation a test of ${name}.test.js does not pass`)
      return 1
    }
  }
  let uncaught = 0
  const left = [...chosen]
  await Promise.all(Array.from({ length: availableParallelism() }, async () => {
    for (let mutation = left.shift(); mutation; mutation = left.shift()) {
      const result = await test(mutation)
      if (result !== 'caught') uncaught++
      console.log(`${result}: ${mutation.promise}`)
      if (result !== 'caught') console.log(`  ${mutation.file}: ${mutation.weakened}`)
    }
  }))
  console.log(`${chosen.length - uncaught} of ${chosen.length} mutations were caught`)
  return uncaught
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2)) ? 1 : 0
}
