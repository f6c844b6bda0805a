// Command close-sockets closes the WebSockets of sessions that have ended. A
// queue calls it, see the template in the folder websocket.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/protected-api/awssockets"
	"latchkey/local/protected-api/sockets"
)

func main() {
	table := awssockets.NewTable(os.Getenv, time.Now)
	closer := awssockets.NewCloser(os.Getenv, time.Now)
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	lambda.Start(sockets.Consumer(table, closer, time.Now, log))
}
