// Command put-state serves PUT /api/state/{key}.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).PutState) }
