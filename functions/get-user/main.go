// Command get-user serves GET /api/admin/users/{address}.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).User) }
