// The packages in client/node_modules, for scripts in this folder.
import { createRequire } from 'node:module'

export const require = createRequire(new URL('../../../client/package.json', import.meta.url))
