// The client trusts what the system trusts. For this test binary that is a set of roots of its own.

//go:debug x509usefallbackroots=1

package boot_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/config"
)

// authority signs certificates for servers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert: cert, key: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// server starts a redis-server that speaks TLS alone, with a certificate for name that ended or ends at end.
func (a authority) server(t *testing.T, name string, end time.Time) *redistest.Own {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return redistest.ServerWith(t, "--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no",
		"--tls-cert-file", pemFile(t, "CERTIFICATE", cert), "--tls-key-file", pemFile(t, "PRIVATE KEY", private),
		"--tls-ca-cert-file", a.file(t), "--requirepass", "open sesame")
}

// file is where the authority's certificate stands for a process that is to trust it.
func (a authority) file(t *testing.T) string {
	t.Helper()
	return pemFile(t, "CERTIFICATE", a.cert.Raw)
}

func pemFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var trusted struct {
	once sync.Once
	authority
}

// trustedAuthority is the one root of this test binary. It can be set only once.
func trustedAuthority(t *testing.T) authority {
	t.Helper()
	trusted.once.Do(func() {
		trusted.authority = newAuthority(t)
		pool := x509.NewCertPool()
		pool.AddCert(trusted.cert)
		x509.SetFallbackRoots(pool)
	})
	return trusted.authority
}

func TestClient_tls(t *testing.T) {
	ctx := context.Background()
	server := trustedAuthority(t).server(t, "127.0.0.1", time.Now().Add(time.Hour))
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
}

// A server that cannot prove to be the one asked for gets no word, no password above all.
func TestClient_tlsFailsClosed(t *testing.T) {
	ctx := context.Background()
	trusted, hour := trustedAuthority(t), time.Now().Add(time.Hour)
	servers := map[string]string{
		"unknown authority": newAuthority(t).server(t, "127.0.0.1", hour).Addr,
		"another name":      trusted.server(t, "cache.example", hour).Addr,
		"expired":           trusted.server(t, "127.0.0.1", time.Now().Add(-time.Hour)).Addr,
		"no TLS":            redistest.ServerWith(t).Addr,
	}
	for name, addr := range servers {
		c := client(t, config.Redis{Addr: addr, Host: "127.0.0.1", Password: "open sesame", TLS: true})
		if err := c.Ping(ctx).Err(); err == nil {
			t.Errorf("%s: answered", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}
