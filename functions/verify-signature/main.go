// Command verify-signature asks chains about signatures of contract wallets.
package main

import "latchkey/shared/boot"

func main() { boot.RunVerifier() }
