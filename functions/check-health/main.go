// Command check-health serves GET /health and HEAD /health.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).Health) }
