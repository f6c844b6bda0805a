package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"latchkey/shared/api"
	"latchkey/shared/chain"
	"latchkey/shared/lambdahttp"
)

// Handler is the function that asks the chains. It implements lambda.Handler.
type Handler struct {
	contracts api.Contracts
	log       *slog.Logger
	metric    func(api.Metric, float64)
}

// NewHandler returns a function that answers with what contracts finds. It logs
// each question whose chain could not be asked, and counts it as one of
// [api.Faults]. metric may be nil.
func NewHandler(
	contracts api.Contracts, log *slog.Logger, metric func(api.Metric, float64),
) *Handler {
	return &Handler{contracts, log, metric}
}

// Invoke implements lambda.Handler. It returns an error for an event that is
// not a question, and no other: that a chain could not be asked is an answer.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := lambdahttp.WithReserve(ctx, 0)
	defer cancel()
	q, err := parseEvent(payload)
	if err != nil {
		return nil, err
	}
	err = h.contracts.Verify(ctx, q)
	if t, ok := errors.AsType[*chain.TroubleError](err); ok {
		h.log.WarnContext(ctx, "RPC did not answer", "chain", q.Chain, "reasons", t.Reasons)
		if h.metric != nil {
			h.metric(api.Faults, 1)
		}
	}
	return json.Marshal(newAnswer(q, err))
}
