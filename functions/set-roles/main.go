// Command set-roles serves PUT /api/admin/users/{address}/roles.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).SetRoles) }
