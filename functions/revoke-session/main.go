// Command revoke-session serves DELETE /api/admin/sessions/{id}.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).RevokeSession) }
