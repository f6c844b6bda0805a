package api_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/api"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// Each route is a handler. Whatever stands in front of them chooses the route, and tells what only it can know.
func Example() {
	engine := miniredis.NewMiniRedis()
	if err := engine.Start(); err != nil {
		panic(err)
	}
	defer engine.Close()
	rdb := redis.NewClient(&redis.Options{Addr: engine.Addr(), MaxRetries: -1})
	defer rdb.Close()
	secret := []byte("a secret of at least 32 bytes, from a generator")
	ring, err := seal.NewRing("demo", secret, seal.EnvironmentKey(secret, []byte("an encryption key has 32 bytes..")))
	if err != nil {
		panic(err)
	}
	store := session.NewStore(rdb, ring, session.Options{
		Prefix: "demo", Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Access: 15 * time.Minute,
		Grace: 45 * time.Second, Touch: 30 * time.Second, SessionLimit: 5,
	}, time.Now)
	edge := api.New(api.Config{
		Domains: []string{"app.example.com"}, ChainIDs: []uint64{1}, Statement: "Sign in.",
		AllowedOrigins: []string{"https://app.example.com"},
	}, store, slog.New(slog.NewJSONHandler(io.Discard, nil)), time.Now)

	profile := edge.Profile()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := api.RequestInfo{SourceIP: netip.MustParseAddr("203.0.113.7"), RequestID: "id-1", Route: "GET /api/profile"}
		profile.ServeHTTP(w, r.WithContext(api.WithRequestInfo(r.Context(), info)))
	}))
	defer server.Close()
	response, err := http.Get(server.URL + "/api/profile")
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, response.Header.Get("WWW-Authenticate"), response.Header.Get("X-Request-Id"))
	// Output:
	// 401 Unauthorized Bearer id-1
}
