package examples

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// A breaker as middleware of a router: for a group of routes, so that one that
// fails does not close the others.
func Example_router() {
	manager := breaker.NewManager(breaker.Settings{FailMax: 2, ResetTimeout: 30 * time.Second})
	guard := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler { return breakerhttp.NewHandler(next, manager.Breaker(name)) }
	}

	r := chi.NewRouter()
	r.With(guard("search")).Get("/search", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the index is gone", http.StatusInternalServerError)
	})
	r.With(guard("items")).Get("/items/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "item ", chi.URLParam(r, "id"))
	})

	for _, path := range []string{"/search", "/search", "/search", "/items/7"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Printf("%s %d, retry after %q\n", path, w.Code, w.Header().Get("Retry-After"))
	}
	// Output:
	// /search 500, retry after ""
	// /search 500, retry after ""
	// /search 503, retry after "30"
	// /items/7 200, retry after ""
}
