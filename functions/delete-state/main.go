// Command delete-state serves DELETE /api/state/{key}.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).DeleteState) }
