package api

import (
	"context"
	"log/slog"
)

// Sweep ends the sessions whose deadlines have passed, and logs what it did. It
// stops before ctx ends, which is not an error, and the next sweep begins
// elsewhere. It serves no route: a schedule calls it. Its errors are those of
// [session.Store.Sweep].
func (a *API) Sweep(ctx context.Context) error {
	began := a.now()
	ctx, sent := a.store.WithHints(ctx)
	defer sent()
	swept, err := a.store.Sweep(ctx)
	attrs := []slog.Attr{
		slog.Int("ended", swept.Ended), slog.Int("recounted", swept.Recounted),
		slog.Int("repaired", swept.Repaired),
		slog.Int("damaged", swept.Damaged), slog.Bool("complete", swept.Complete),
		slog.Float64("durationMs", milliseconds(a.now().Sub(began))),
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "sweep", attrs...)
	if err != nil {
		a.Count(Faults)
	}
	if swept.Repaired > 0 {
		a.measure(Repaired, float64(swept.Repaired))
	}
	if swept.Complete {
		a.measure(Sessions, float64(swept.Active))
	}
	return err
}
