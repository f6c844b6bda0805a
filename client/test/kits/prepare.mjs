// What the script needs: the kits, the client as it is published, the pages and
// the server. All of it is in build/kits, outside of the client's own packages.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const own = fileURLToPath(new URL('.', import.meta.url))
const client = fileURLToPath(new URL('../..', import.meta.url))
const root = fileURLToPath(new URL('../../..', import.meta.url))

export const folder = `${root}build/kits/`

/** Names the pages by their module. */
const PAGES = { rainbowkit: 'rainbowkit.tsx', appkit: 'appkit.ts' }

/** Runs a program, and returns what it prints. An error has that too. */
function run(file, args, cwd, env = process.env) {
  try {
    return execFileSync(file, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  } catch (error) {
    throw new Error(`${file} ${args.join(' ')}:\n${error.stdout}`, { cause: error })
  }
}

/**
 * Imports a package of the kits' folder.
 *
 * @param {string} name
 */
export const importKit = name => import(createRequire(folder).resolve(name))

/** Installs the kits, and the client from the tarball that npm pack makes. */
export function install() {
  mkdirSync(folder, { recursive: true })
  cpSync(`${own}package.json`, `${folder}package.json`)
  const [{ filename }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], client))
  // npm keeps a package of the same version, though the tarball is another.
  rmSync(`${folder}node_modules/@latchkey`, { recursive: true, force: true })
  run('npm', ['install', `./${filename}`, '--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit',
    '--no-fund', '--loglevel', 'error'], folder)
}

/** Checks that the adapters' types are what the kits take. */
function checkTypes() {
  const tsc = `${client}node_modules/typescript/bin/tsc`
  const options = '--strict --noEmit --skipLibCheck --target es2022 --lib es2022,dom --module esnext' +
    ' --moduleResolution bundler --types vite/client --jsx react-jsx'
  run(process.execPath, [tsc, ...options.split(' '), ...Object.values(PAGES)], folder)
}

/** Builds the pages by Vite, from the installed packages alone. */
export async function buildPages() {
  const { build } = await importKit('vite')
  cpSync(`${own}pages`, folder, { recursive: true })
  for (const [name, module] of Object.entries(PAGES)) {
    writeFileSync(`${folder}${name}.html`, `<!doctype html><meta charset="utf-8"><title>${name}</title>
      <div id="root"></div><script type="module" src="./${module}"></script>`)
  }
  checkTypes()
  await build({
    root: folder, configFile: false, logLevel: 'error',
    esbuild: { jsx: 'automatic' },
    build: {
      target: 'es2022', emptyOutDir: true, minify: false, reportCompressedSize: false,
      rollupOptions: { input: Object.keys(PAGES).map(name => `${folder}${name}.html`), onwarn() {} },
    },
  })
}

/** Serves the built pages on localhost. */
export async function servePages() {
  const { preview } = await importKit('vite')
  const server = await preview({
    root: folder, configFile: false, logLevel: 'error', preview: { host: '127.0.0.1', port: 5173 },
  })
  const { port } = server.httpServer.address()
  return { url: `http://localhost:${port}`, close: () => server.close() }
}

/** Builds the local server, and returns its path. */
export function buildServer() {
  const path = `${folder}local`
  run('go', ['build', '-o', path, './local'], root, { ...process.env, CGO_ENABLED: '0' })
  return path
}

/** Returns the versions of what was tested, as name@version. */
export function versions() {
  const { dependencies } = JSON.parse(readFileSync(`${folder}package.json`, 'utf8'))
  return ['@latchkey/client', ...Object.keys(dependencies)].map(name => {
    const { version } = JSON.parse(readFileSync(`${folder}node_modules/${name}/package.json`, 'utf8'))
    return `${name}@${version}`
  })
}
