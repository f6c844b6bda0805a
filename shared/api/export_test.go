package api

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// What tests look at that callers have no use for.

// Code is the code of a refusal; empty for what is none.
func Code(err error) string {
	var p *problem
	if !errors.As(err, &p) {
		return ""
	}
	return p.code.name
}

// Passes returns the check of a request against the CDN, and what handlers get to see of its headers.
func (a *API) Passes(r *http.Request) (pass func() bool, seen func() http.Header) {
	x := a.newExchange(r.Context(), r, requestInfoOf(r.Context()), "")
	return x.passCDN, func() http.Header { return x.r.Header }
}

// ClientAddress reads the address that a CDN sends in a header.
func ClientAddress(name string, values ...string) (netip.Addr, error) {
	return clientAddress(name, http.Header{name: values})
}

// Timestamp is a point in time as answers have it.
func Timestamp(t time.Time) string { return timestamp(t) }

// asked is a request for a query, in an exchange of its own.
func asked(query string) *exchange {
	at := &url.URL{RawQuery: query}
	return &exchange{r: &http.Request{URL: at, Header: http.Header{}}, query: at.Query()}
}

// Page reads the parameters of a list, and cuts their part out of one of names.
func Page(query string, names []string) (shown []string, next string, err error) {
	p, err := pageOf(asked(query).query)
	if err != nil {
		return nil, "", err
	}
	return pageFrom(names, p, func(name string) string { return name })
}

// Lifetime reads the parameter ttl.
func Lifetime(query string) (time.Duration, error) { return lifetime(asked(query).query) }

// StateKey reads a key of state out of a path.
func StateKey(path string) (string, error) {
	x := asked("")
	x.r.SetPathValue("key", path)
	err := x.readStateKey()
	return x.target.key, err
}

// SessionID reads a session's id out of a path, and tells what the audit log gets to see of it.
func SessionID(path string) (id token.ID, target string, err error) {
	x := asked("")
	x.r.SetPathValue("id", path)
	err = x.readSessionID()
	return x.target.session, x.about[0].Value.String(), err
}

// RequestID is the id of a request to which the gateway gave that one.
func RequestID(gateways string) string { return requestID(RequestInfo{RequestID: gateways}) }

// Conditions reads If-Match and If-None-Match.
func Conditions(header http.Header) (session.StateCondition, error) { return conditions(header) }

// CheckType judges the type of a JSON body.
func CheckType(values ...string) error {
	return checkType(http.Header{"Content-Type": values}, jsonType)
}

// Device reads a User-Agent and the values of X-Device-Id.
func Device(agent string, ids ...string) (session.Device, error) {
	x := asked("")
	x.r.Header["User-Agent"] = []string{agent}
	if len(ids) > 0 {
		x.r.Header["X-Device-Id"] = ids
	}
	client, err := x.clientOver(session.Bearer)
	return client.Device, err
}

// DeviceName reads a name for a device out of a body that has nothing else.
func DeviceName(body string) (string, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := unmarshal([]byte(body), &in); err != nil {
		return "", err
	}
	return in.Name, checkDeviceName(in.Name)
}

// Settable are the roles that are stored where those are set.
func (a *API) Settable(roles []string) ([]string, error) {
	return (&exchange{api: a}).settable(roles)
}

// MergePatch applies a body as a patch to a stored object.
func MergePatch(old, body string) (string, error) {
	var patch mergePatch
	if err := patch.read([]byte(body)); err != nil {
		return "", err
	}
	merged, err := patch.apply([]byte(old))
	return string(merged), err
}

// RawJSON reads a body that is any JSON value.
func RawJSON(body string) (string, error) {
	var value rawJSON
	err := value.read([]byte(body))
	return string(value), err
}

// List decodes a body with one field, a list of strings.
func List(body string) ([]string, error) {
	var in struct {
		List []string `json:"list"`
	}
	err := unmarshal([]byte(body), &in)
	return in.List, err
}
