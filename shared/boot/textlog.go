package boot

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// NewLoggerFor returns a log in the format that LOG_FORMAT chooses: JSON, or
// lines for people. The default is JSON. If onTerminal is set, somebody reads
// the log as it is written, and the default is lines with APP_ENV=local.
func NewLoggerFor(getenv func(string) string, w io.Writer, onTerminal bool) *slog.Logger {
	local := getenv("APP_ENV") == "local"
	format := getenv("LOG_FORMAT")
	if format == "" && local && onTerminal {
		format = "text"
	}
	if format != "text" {
		return NewLogger(w)
	}
	return slog.New(&textHandler{w: w, mu: new(sync.Mutex), local: local})
}

// textHandler writes one line for each entry, such as
//
//	14:02:11 POST /auth/login 401 login_failed (nonce already used) 12 ms
//
// Whatever a client has sent, a line is printable ASCII: it can neither forge
// another line nor control the terminal.
type textHandler struct {
	mu    *sync.Mutex
	w     io.Writer
	local bool // leaves out what a developer has no use for
	attrs []slog.Attr
}

// Enabled implements [slog.Handler].
func (*textHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// WithAttrs implements [slog.Handler].
func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Concat(h.attrs, attrs)
	return &with
}

// WithGroup implements [slog.Handler]. No log here has groups.
func (h *textHandler) WithGroup(string) slog.Handler { return h }

// Handle implements [slog.Handler].
func (h *textHandler) Handle(_ context.Context, r slog.Record) error {
	e := entry{msg: r.Message, attrs: slices.Clone(h.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs = append(e.attrs, a)
		return true
	})
	if h.local && (e.repeatsRequest() || e.isIdle()) {
		return nil
	}
	stack := e.take("stack")
	line := r.Time.Format("15:04:05 ") + prefixes[r.Level] + printable(e.text(h.local)) + "\n"
	for row := range strings.Lines(stack) {
		line += "    " + printable(strings.TrimRight(row, "\n")) + "\n"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, line)
	return err
}

// prefixes say how bad an entry is.
var prefixes = map[slog.Level]string{slog.LevelWarn: "warning: ", slog.LevelError: "error: "}

// entry is an entry of the log that becomes text.
type entry struct {
	msg   string
	attrs []slog.Attr // that the text does not have yet
}

// take returns an attribute's value, and removes it. It is empty if there is
// none.
func (e *entry) take(name string) string {
	i := slices.IndexFunc(e.attrs, func(a slog.Attr) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	value := e.attrs[i].Value.Resolve()
	e.attrs = slices.Delete(e.attrs, i, i+1)
	if list, ok := value.Any().([]string); ok {
		return strings.Join(list, "; ")
	}
	return value.String()
}

// repeatsRequest reports whether an entry says that a request was refused. The
// entry of the request says that too. The authorizer has no such entry.
func (e entry) repeatsRequest() bool {
	has := func(name, value string) bool {
		return slices.ContainsFunc(e.attrs, func(a slog.Attr) bool {
			return a.Key == name && a.Value.String() == value
		})
	}
	return e.msg == "event" && has("outcome", "failure") && !has("type", "authorize")
}

// isIdle reports whether an entry says that a sweep, or the publisher of events,
// had nothing to do, as almost every minute.
func (e entry) isIdle() bool {
	counts := []string{
		"ended", "repaired", "damaged", "published", "retried", "refused", "dropped",
	}
	busy := slices.ContainsFunc(e.attrs, func(a slog.Attr) bool {
		value := a.Value.String()
		return a.Key == "complete" && value != "true" ||
			slices.Contains(counts, a.Key) && value != "0"
	})
	return (e.msg == "sweep" || e.msg == "publisher") && !busy
}

// text returns the line, without time and level.
func (e *entry) text(local bool) string {
	if local {
		for _, name := range []string{"requestId", "ip", "device"} {
			e.take(name)
		}
	}
	if problems := e.take("problems"); problems != "" {
		return problems
	}
	text := e.msg
	if method := e.take("method"); method != "" {
		text = e.request(method)
	} else if kind := e.take("type"); kind != "" {
		text = joined(" ", kind, e.take("outcome"))
	}
	text = joined(": ", text, e.take("error"))
	for _, a := range e.attrs {
		value := fmt.Sprint(a.Value.Resolve().Any())
		if strings.Contains(value, " ") {
			value = `"` + value + `"`
		}
		text += " " + a.Key + "=" + value
	}
	return text
}

// request returns the beginning of a line about a request. The route of the
// gateway is the method and the path without what is private in it.
func (e *entry) request(method string) string {
	called := cmp.Or(e.take("route"), joined(" ", method, e.take("path")))
	text := joined(" ", called, e.take("status"), e.take("code"))
	if problem := e.take("problem"); problem != "" {
		text += " (" + problem + ")"
	}
	return joined(" ", text, duration(e.take("durationMs")))
}

// duration rounds milliseconds to what a reader can compare.
func duration(text string) string {
	ms, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return ""
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// joined joins the texts that are not empty.
func joined(separator string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), separator)
}

// printable escapes everything but printable ASCII. Escape sequences, line
// breaks and the marks that change the direction of text are then visible.
func printable(text string) string {
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unprintable(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }
