package ops

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed assets
var assets embed.FS

// dashboard serves the page and its assets. Nothing is loaded from elsewhere.
func dashboard() http.Handler {
	sub, err := fs.Sub(assets, "assets")
	if err != nil {
		panic("ops: " + err.Error()) // the program was built without its assets
	}
	return http.FileServerFS(sub)
}

func (e *endpoint) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	http.ServeFileFS(w, r, assets, "assets/openapi.json")
	return nil
}
