package redistest

import (
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
	"testing"
	"time"
)

// Authority signs the certificates of servers.
type Authority struct {
	// Cert is its own certificate.
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose certificate is valid for an hour.
func NewAuthority(t testing.TB) Authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return Authority{Cert: cert, key: key}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// Server is [Authority.ServerOf] of any engine.
func (a Authority) Server(t testing.TB, name string, end time.Time) *Own {
	t.Helper()
	return a.ServerOf(t, installed(t), name, end)
}

// ServerOf starts a server that speaks TLS only, with a certificate for that
// name until that end, which may have passed. Its password is "open sesame".
func (a Authority) ServerOf(t testing.TB, e Engine, name string, end time.Time) *Own {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return e.ServerWith(t, "--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no",
		"--tls-cert-file", pemFile(t, "CERTIFICATE", cert),
		"--tls-key-file", pemFile(t, "PRIVATE KEY", private),
		"--tls-ca-cert-file", a.File(t), "--requirepass", "open sesame")
}

// File returns the path of the authority's certificate, for a process that
// should trust it.
func (a Authority) File(t testing.TB) string {
	t.Helper()
	return pemFile(t, "CERTIFICATE", a.Cert.Raw)
}

func pemFile(t testing.TB, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pem")
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	must(t, os.WriteFile(path, text, 0o600))
	return path
}
