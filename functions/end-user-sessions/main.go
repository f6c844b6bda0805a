// Command end-user-sessions serves DELETE /api/admin/users/{address}/sessions.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).EndUserSessions) }
