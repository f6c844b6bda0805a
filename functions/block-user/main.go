// Command block-user serves POST /api/admin/users/{address}/block.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).BlockUser) }
