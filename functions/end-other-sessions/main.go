// Command end-other-sessions serves DELETE /api/sessions.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).EndOtherSessions) }
