// Command end-session serves DELETE /api/sessions/{id}.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).EndSession) }
