// The client trusts what the system trusts. For this test binary that is a set
// of roots of its own.

//go:debug x509usefallbackroots=1

package redisconn_test

import (
	"context"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/config"
)

var trusted struct {
	once sync.Once
	redistest.Authority
}

// trustedAuthority is the one root of this test binary. It can be set only
// once.
func trustedAuthority(t *testing.T) redistest.Authority {
	t.Helper()
	trusted.once.Do(func() {
		trusted.Authority = redistest.NewAuthority(t)
		pool := x509.NewCertPool()
		pool.AddCert(trusted.Cert)
		x509.SetFallbackRoots(pool)
	})
	return trusted.Authority
}

func TestClient_tls(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		server := trustedAuthority(t).ServerOf(t, e, "127.0.0.1", time.Now().Add(time.Hour))
		r := config.Redis{Addr: server.Addr, Host: "127.0.0.1", Username: server.Username, Password: config.Secret(server.Password), TLS: true}
		c := client(t, r)
		for range 3 {
			if err := c.Ping(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if stats := c.PoolStats(); stats.TotalConns != 1 {
			t.Errorf("%d connections for one caller", stats.TotalConns)
		}
		for name, spoil := range map[string]func(*config.Redis){
			"no password":    func(r *config.Redis) { r.Password = "" },
			"wrong password": func(r *config.Redis) { r.Password = "open" },
			"no TLS":         func(r *config.Redis) { r.TLS = false },
		} {
			spoiled := r
			spoil(&spoiled)
			if err := client(t, spoiled).Ping(ctx).Err(); err == nil {
				t.Errorf("%s: answered", name)
			}
		}
	})
}

// A server that cannot prove to be the one asked for gets no word, no password
// above all.
func TestClient_tlsFailsClosed(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		trusted, hour := trustedAuthority(t), time.Now().Add(time.Hour)
		servers := map[string]string{
			"unknown authority": redistest.NewAuthority(t).ServerOf(t, e, "127.0.0.1", hour).Addr,
			"another name":      trusted.ServerOf(t, e, "cache.example", hour).Addr,
			"expired":           trusted.ServerOf(t, e, "127.0.0.1", time.Now().Add(-time.Hour)).Addr,
			"no TLS":            e.ServerWith(t).Addr,
		}
		for name, addr := range servers {
			c := client(t, config.Redis{Addr: addr, Host: "127.0.0.1", Password: "open sesame", TLS: true})
			if err := c.Ping(ctx).Err(); err == nil {
				t.Errorf("%s: answered", name)
			} else {
				t.Logf("%s: %v", name, err)
			}
		}
	})
}
