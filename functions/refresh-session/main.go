// Command refresh-session serves POST /auth/refresh.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
	"latchkey/shared/verifierclient"
)

func main() { boot.RunWithVerifier((*api.API).Refresh, verifierclient.New) }
