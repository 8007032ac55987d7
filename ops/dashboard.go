package ops

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed assets
var assets embed.FS

// dashboard serves the page and what it needs; nothing comes from outside.
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
