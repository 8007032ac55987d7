package fleet_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTLS starts a server that also speaks TLS, at addr, and asks for a certificate.
func startTLS(t *testing.T) (s *server, addr string, config *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "store"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr = freeAddr()
	_, port, _ := net.SplitHostPort(addr)
	s = startServer(t, "--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return s, addr, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "127.0.0.1"}
}

// A fleet over TLS, with client certificates, behind a network that swallows all bytes
// for a while: handshakes hang then, and must not keep members from coming back.
func TestRedisTLS(t *testing.T) {
	long(t)
	t.Parallel()
	_, addr, config := startTLS(t)
	way := newProxy(t, addr)
	fleets := fleetsOn(t, redis.NewClient(&redis.Options{Addr: way.addr(), TLSConfig: config}), "g", 3)
	together := func() bool {
		for _, f := range fleets {
			if s := f.State(); s.Alone || s.Members != len(fleets) {
				return false
			}
		}
		return true
	}
	wait(t, "they are together", together)
	way.swallow.Store(true)
	<-time.After(8 * time.Second)
	way.swallow.Store(false)
	began := time.Now()
	wait(t, "they are together again", together)
	t.Logf("together again after %s", time.Since(began))
}
