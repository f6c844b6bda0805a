// Command publish-events publishes events of accounts and sessions, each minute.
package main

import (
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/eventbridge"
	"latchkey/shared/events"
)

func main() {
	boot.RunPublisher(func(env awsenv.Environment, bus string) events.Sink {
		return eventbridge.New(env, bus)
	})
}
