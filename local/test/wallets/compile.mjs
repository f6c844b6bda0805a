// Compiles accounts.sol with the sources of Solady, and prints ABI and bytecode
// of its contracts as JSON.
import { readFileSync } from 'node:fs'
import { require } from './packages.mjs'

const solc = require('solc')

const input = {
  language: 'Solidity',
  sources: { 'accounts.sol': { content: readFileSync(new URL('accounts.sol', import.meta.url), 'utf8') } },
  settings: {
    evmVersion: 'prague',
    optimizer: { enabled: true },
    outputSelection: { 'accounts.sol': { '*': ['abi', 'evm.bytecode.object'] } },
  },
}

const find = (path) => ({ contents: readFileSync(require.resolve(path), 'utf8') })
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }))
const errors = (output.errors ?? []).filter((e) => e.severity === 'error')
if (errors.length > 0) throw new Error(errors.map((e) => e.formattedMessage).join('\n'))

const artifacts = {}
for (const [name, contract] of Object.entries(output.contracts['accounts.sol'])) {
  artifacts[name] = { abi: contract.abi, bytecode: '0x' + contract.evm.bytecode.object }
}
console.log(JSON.stringify(artifacts))
