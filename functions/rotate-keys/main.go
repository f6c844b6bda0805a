// Command rotate-keys adds a session key when Secrets Manager asks for it.
package main

import "latchkey/shared/boot"

func main() { boot.RunRotation() }
