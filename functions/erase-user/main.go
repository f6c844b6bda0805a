// Command erase-user serves DELETE /api/admin/users/{address}.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).EraseUser) }
