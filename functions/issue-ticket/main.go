// Command issue-ticket serves POST /auth/ticket.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Ticket) }
