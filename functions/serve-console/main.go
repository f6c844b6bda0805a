// Command serve-console serves GET /console and GET /console/{file}, and HEAD
// of both.
package main

import (
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/console"
)

func main() { lambda.Start(console.FromEnvironment(os.Getenv, os.Stdout)) }
