// Command get-openapi serves GET /openapi.json and HEAD /openapi.json.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/openapi"
)

func main() { lambda.Start(openapi.Handler{}) }
