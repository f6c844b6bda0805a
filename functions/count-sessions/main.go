// Command count-sessions serves GET /api/admin/sessions.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).CountSessions) }
