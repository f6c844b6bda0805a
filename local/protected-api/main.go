// Command protected-api is the function of the example in template.yaml beside
// it: an API that Latchkey's authorizer guards.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/protected-api/orders"
)

func main() { lambda.Start(orders.Handler()) }
