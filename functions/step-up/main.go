// Command step-up serves POST /auth/step-up.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).StepUp) }
