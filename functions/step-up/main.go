// Command step-up serves POST /auth/step-up.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
	"latchkey/shared/verifierclient"
)

func main() { boot.RunWithVerifier((*api.API).StepUp, verifierclient.New) }
