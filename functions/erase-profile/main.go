// Command erase-profile serves DELETE /api/profile.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).EraseProfile) }
