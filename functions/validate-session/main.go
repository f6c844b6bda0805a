// Command validate-session serves POST /auth/validate.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Validate) }
