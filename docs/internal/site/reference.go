package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// generated begins each page that this program writes.
const generated = "<!-- Written by go run ./docs/internal/site -write. Do not edit. -->\n\n"

// reference is the generated pages, by name.
func reference(repo string) (map[string]string, error) {
	pages := map[string]string{}
	settings, err := settingsPage(filepath.Join(repo, "breaker", "settings.go"))
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	pages["docs/reference/settings.md"] = generated + settings
	commands, err := commandsPage(filepath.Join(repo, "cmd"))
	if err != nil {
		return nil, fmt.Errorf("commands: %w", err)
	}
	pages["docs/reference/commands.md"] = generated + commands
	document, err := os.ReadFile(filepath.Join(repo, "ops", "assets", "openapi.json"))
	if err != nil {
		return nil, err
	}
	http, err := httpPage(document)
	if err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	pages["docs/reference/http.md"] = generated + http
	return pages, nil
}
