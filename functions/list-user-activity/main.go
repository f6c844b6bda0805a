// Command list-user-activity serves GET /api/admin/activity.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).UserActivity) }
