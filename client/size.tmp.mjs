import { build } from 'esbuild'
import { gzipSync } from 'node:zlib'
const { outputFiles: [core] } = await build({ entryPoints: ['latchkey.js'], bundle: true, minify: true, format: 'esm', write: false })
console.log(gzipSync(core.contents, { level: 9 }).length)
