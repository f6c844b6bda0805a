package api

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"

	"latchkey/shared/session"
)

// ticketView is a ticket, and when it expires.
type ticketView struct {
	Ticket    string `json:"ticket"`
	ExpiresAt string `json:"expiresAt"`
}

// Ticket serves POST /auth/ticket: a ticket that opens one WebSocket with the
// session of the caller.
func (a *API) Ticket() http.Handler {
	return handleBody(a, route{method: "POST", session: member}, (*exchange).issueTicket)
}

func (x *exchange) issueTicket(nothing) (ticketView, error) {
	text, _, err := x.accessToken()
	if err != nil {
		return ticketView{}, err
	}
	ticket, expires, err := x.api.store.IssueTicket(x.r.Context(), x.access, text)
	return ticketView{ticket, timestamp(expires)}, err
}

// openTicket is open for a ticket, and uses it up. connection names the
// WebSocket: a second event for the same one is the gateway's own retry.
func (x *exchange) openTicket(ticket, connection string) (err error) {
	if x.client, err = x.clientOver(session.Bearer); err != nil {
		return err
	}
	ctx, store := x.r.Context(), x.api.store
	x.access, err = store.UseTicket(ctx, ticket, ticketUse(connection), x.client)
	if err == nil {
		x.concernsSession(x.access.Session.ID)
	} else if id, unknown := store.SessionOfTicket(ctx, ticket); unknown == nil {
		x.concernsSession(id)
	}
	return err
}

// ticketUse returns the use of a ticket by a connection. If the gateway sent no
// id of the connection, every event is a use of its own.
func ticketUse(connection string) session.TicketUse {
	if connection == "" {
		connection = rand.Text()
	}
	sum := sha256.Sum256([]byte(connection))
	return session.TicketUse(sum[:len(session.TicketUse{})])
}
