// Takes the wallet clients of viem. It is compiled, and does not run.

import { signerOf } from '@latchkey/client/viem'
import type { Signer } from '@latchkey/client/types'
import { createWalletClient, custom, type WalletClient } from 'viem'

declare const ethereum: any

export const own: Promise<Signer> = signerOf(createWalletClient({ transport: custom(ethereum) }))
export const ofWagmi = (client: WalletClient): Promise<Signer> => signerOf(client)
