package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// commandsPage returns the help of both programs, which are built for it.
func commandsPage(module string) (string, error) {
	bin, err := os.MkdirTemp("", "site-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./switchgear", "./circuit_breaker_fifo")
	build.Dir = module
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	switchgear := program(filepath.Join(bin, "switchgear"))
	main, err := switchgear("--help")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Commands\n\nThe help of both programs.\n\n## switchgear\n\n%s", block(main))
	commands, err := switchgear.commands()
	if err != nil {
		return "", err
	}
	for _, path := range commands {
		text, err := switchgear(append([]string{"help"}, path...)...)
		if err != nil {
			return "", err
		}
		text, _, _ = strings.Cut(text, "\nGlobal Flags:\n") // in the first block
		fmt.Fprintf(&b, "\n## switchgear %s\n\n%s", strings.Join(path, " "), block(text))
	}
	for _, topic := range topics(main) {
		text, err := switchgear("help", topic)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## switchgear help %s\n\n%s", topic, block(text))
	}
	fifo := program(filepath.Join(bin, "circuit_breaker_fifo"))
	text, err := fifo("--help")
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "\n## circuit_breaker_fifo\n\n%s", block(text))
	return b.String(), nil
}

// runner runs a program, and returns what it prints.
type runner func(args ...string) (string, error)

func program(path string) runner {
	return func(args ...string) (string, error) {
		cmd := exec.Command(path, args...)
		cmd.Env = append(os.Environ(), "NO_COLOR=1", "COLUMNS=80")
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w", filepath.Base(path), strings.Join(args, " "), err)
		}
		return string(out), nil
	}
}

// commands returns the subcommands of a command, as the program offers them to
// the shell.
func (run runner) commands(above ...string) (all [][]string, err error) {
	text, err := run(slices.Concat([]string{"__complete"}, above, []string{""})...)
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(text, "\n") {
		name, _, ok := strings.Cut(line, "\t")
		if !ok || name == "help" || name == "completion" {
			continue
		}
		path := append(slices.Clone(above), name)
		all = append(all, path)
		help, err := run(append([]string{"help"}, path...)...)
		if err != nil {
			return nil, err
		}
		if strings.Contains(help, "\nAvailable Commands:\n") {
			below, err := run.commands(path...)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		}
	}
	return all, nil
}

// topics returns the further help pages that the first page names.
func topics(help string) (names []string) {
	for _, line := range strings.Split(help, "\n") {
		if rest, ok := strings.CutPrefix(line, "  switchgear help "); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names
}

func block(text string) string { return "```text\n" + strings.TrimSpace(text) + "\n```\n" }
