// Command list-sessions serves GET /api/sessions.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Sessions) }
