// Command authorizer decides over requests to other APIs, for API Gateway.
package main

import "latchkey/shared/boot"

func main() { boot.RunAuthorizer() }
