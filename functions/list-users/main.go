// Command list-users serves GET /api/admin/users.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Users) }
