// Command websocket is the function of the WebSocket API in template.yaml
// beside it, which Latchkey's authorizer guards.
package main

import (
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/protected-api/awssockets"
	"latchkey/local/protected-api/echo"
	"latchkey/local/protected-api/sockets"
)

func main() {
	table := awssockets.NewTable(os.Getenv, time.Now)
	lambda.Start(sockets.Handler(table, time.Now, echo.Handler()))
}
