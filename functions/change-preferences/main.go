// Command change-preferences serves PATCH /api/preferences.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).ChangePreferences) }
