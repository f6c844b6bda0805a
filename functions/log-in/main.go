// Command log-in serves POST /auth/login.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
	"latchkey/shared/verifierclient"
)

func main() { boot.RunWithVerifier((*api.API).Login, verifierclient.New) }
