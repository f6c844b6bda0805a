// Command refresh-session serves POST /auth/refresh.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Refresh) }
