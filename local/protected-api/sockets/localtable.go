package sockets

import (
	"context"
	"sync"
	"time"
)

// LocalTable is a [Table] in memory, for the local server.
type LocalTable struct {
	mu    sync.Mutex
	now   func() time.Time
	open  map[string]map[string]Connection // by session and id
	ended map[string]time.Time             // by session, when it is forgotten
}

// NewLocalTable returns an empty table.
func NewLocalTable(now func() time.Time) *LocalTable {
	return &LocalTable{
		now: now, open: map[string]map[string]Connection{}, ended: map[string]time.Time{},
	}
}

// Put implements [Table].
func (m *LocalTable) Put(_ context.Context, c Connection) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[c.Session] == nil {
		m.open[c.Session] = map[string]Connection{}
	}
	m.open[c.Session][c.ID] = c
	return nil
}

// Remove implements [Table].
func (m *LocalTable) Remove(_ context.Context, c Connection) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open[c.Session], c.ID)
	if len(m.open[c.Session]) == 0 {
		delete(m.open, c.Session)
	}
	return nil
}

// Of implements [Table].
func (m *LocalTable) Of(_ context.Context, session string) (all []Connection, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.open[session] {
		all = append(all, c)
	}
	return all, nil
}

// End implements [Table].
func (m *LocalTable) End(_ context.Context, session string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for other, until := range m.ended {
		if until.Before(m.now()) {
			delete(m.ended, other)
		}
	}
	m.ended[session] = m.now().Add(EndKept)
	return nil
}

// HasEnded implements [Table].
func (m *LocalTable) HasEnded(_ context.Context, session string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended[session].After(m.now()), nil
}
