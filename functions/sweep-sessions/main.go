// Command sweep-sessions ends sessions whose deadlines have passed, once a minute.
package main

import "latchkey/shared/boot"

func main() { boot.RunSweep() }
