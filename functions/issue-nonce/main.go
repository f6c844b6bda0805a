// Command issue-nonce serves GET /auth/nonce.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Nonce) }
