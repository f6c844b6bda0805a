package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/config"
	"latchkey/shared/events"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/strictjson"
	"latchkey/shared/token"
)

// replaying is the function that publishes events, with replays. It implements
// lambda.Handler.
type replaying struct {
	*Service
	publish lambda.Handler
	events  config.Events
	sink    func(context.Context) (events.Sink, error)
}

// withReplay returns a function that sends the events of one account's activity
// once more if an operator asks for it, and otherwise calls publish. An
// operator asks with the payload
//
//	{"replay":{"user":"0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1"}}
//
// and names the account as [token.ParseReference] reads it. The answer is
// [events.Replayed]. No route leads here: IAM says who may invoke the function.
func (s *Service) withReplay(
	publish lambda.Handler, e config.Events, sink func(context.Context) (events.Sink, error),
) lambda.Handler {
	return replaying{s, publish, e, sink}
}

// Invoke implements lambda.Handler.
func (r replaying) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	of, asked, err := replayOf(payload)
	switch {
	case err != nil:
		return nil, fmt.Errorf("replaying: %w", err)
	case !asked:
		return r.publish.Invoke(ctx, payload)
	}
	ctx, cancel := lambdahttp.WithReserve(ctx, 0)
	defer cancel()
	sink, err := r.sink(ctx)
	if err != nil {
		return nil, fmt.Errorf("replaying: %w", err)
	}
	done, err := events.Replay(ctx, r.store, of, r.events.Types, sink, r.events.Details)
	if err != nil {
		return nil, fmt.Errorf("replaying: %d were sent: %w", done.Sent, err)
	}
	return json.Marshal(done)
}

// errReplay does not repeat the payload.
var errReplay = errors.New(`the payload must be {"replay":{"user":"…"}}`)

// replayOf reads whose events a payload asks for. What a schedule sends has no
// replay in it, and asks for none, whatever it is.
func replayOf(payload []byte) (of token.Reference, asked bool, err error) {
	var found map[string]json.RawMessage
	if json.Unmarshal(payload, &found) != nil || found["replay"] == nil {
		return of, false, nil
	}
	parsed, err := strictjson.Parse(payload)
	if err != nil {
		return of, false, err
	}
	whole, _ := parsed.(map[string]any)
	replay, _ := whole["replay"].(map[string]any)
	user, ok := replay["user"].(string)
	if !ok || len(whole) != 1 || len(replay) != 1 {
		return of, false, errReplay
	}
	of, err = token.ParseReference(user)
	return of, err == nil, err
}
