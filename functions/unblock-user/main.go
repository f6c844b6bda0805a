// Command unblock-user serves POST /api/admin/users/{address}/unblock.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).UnblockUser) }
