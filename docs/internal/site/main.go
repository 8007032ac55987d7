// Site makes a static site of the pages of this repository.
//
//	go run ./docs/internal/site -out /tmp/site    the site, to look at or to publish
//	go run ./docs/internal/site -write            the generated pages in docs/reference
//
// The pages are Markdown that reads on the forge as it is. docs/README.md has them
// all, in its order, and is the navigation of the site. The tests of this package
// check its links, its code and its commands.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "site: %v\n", err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	out := flags.String("out", "", "the `folder` to write the site to, which must not exist")
	write := flags.Bool("write", false, "write docs/reference from the code")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if (*out == "") == !*write {
		return errors.New("got neither -out nor -write, or both, want one of them")
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	repo := strings.TrimSpace(string(top))
	if *write {
		pages, err := reference(repo)
		if err != nil {
			return err
		}
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(repo, filepath.FromSlash(name)), []byte(text), 0o666); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := os.Stat(*out); err == nil {
		return fmt.Errorf("%s exists, want a new folder", *out)
	}
	s, err := load(repo)
	if err != nil {
		return err
	}
	return s.build(*out)
}
