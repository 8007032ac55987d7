package breakerconf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/ops"
	"github.com/switchgear-go/switchgear/ops/fifo"
)

const (
	sectionDefault = "DEFAULT"
	sectionPy      = "pybreaker"
	sectionOurs    = "switchgear"
	sectionBreaker = "breaker"
)

func isMain(name string) bool { return name == sectionPy || name == sectionOurs }

// DefaultSleepDelay is the default of PyBreaker.
const DefaultSleepDelay = 100 * time.Millisecond

// Config is the contents of a file.
type Config struct {
	// Input and Output are the paths of the pipe and its reply; {pid} in them
	// stands for the process id. Defaults fifo.DefaultInput and DefaultOutput.
	Input, Output string
	// SleepDelay is how often PyBreaker's manager looks at its pipe. A
	// fifo.Server does not need it, because it does not sleep;
	// circuit_breaker_fifo waits longer for an answer if it is larger. Default
	// DefaultSleepDelay.
	SleepDelay time.Duration
	// Ops are the options of the operations plane. The file can set only Audit
	// and Standing, in which {pid} stands for the process id.
	Ops ops.Options
	// Settings are those of a breaker without a section.
	Settings breaker.Settings
	// Breakers are the breakers with a section, in the order of the file.
	Breakers []Breaker
}

// Breaker is the section of one breaker.
type Breaker struct {
	Name     string
	Settings breaker.Settings
}

// Read reads the file at path. The error names the file, the line and what
// would be right. It matches breaker.ErrSettings or breaker.ErrName if a
// setting or a name is wrong, and fs.ErrNotExist if the file does not exist.
func Read(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("breakerconf: %w: want a file with a section [pybreaker]", err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("breakerconf: %w", err)
	}
	c, err := read(string(text))
	if err != nil {
		return Config{}, fmt.Errorf("breakerconf: %w", at(path, err))
	}
	return c, nil
}

func read(text string) (Config, error) {
	all, err := parse(text)
	if err != nil {
		return Config{}, err
	}
	if len(all) == 0 {
		return Config{}, errors.New("no section for circuit breakers, want [pybreaker]")
	}
	main, def := &section{}, &section{}
	for _, s := range all {
		switch {
		case isMain(s.name):
			main = s
		case s.name == sectionDefault:
			def = s
		}
	}
	c, err := readMain(main, def)
	for _, s := range all {
		if name, ok := strings.CutPrefix(s.name, sectionBreaker+" "); ok && err == nil {
			err = c.addBreaker(s, name)
		}
	}
	return c, err
}

// readMain reads the section of the pipe and of all breakers.
func readMain(main, def *section) (Config, error) {
	c := Config{Input: fifo.DefaultInput, Output: fifo.DefaultOutput, SleepDelay: DefaultSleepDelay}
	v := vars{main: main, def: def, used: make(map[string]bool)}
	for _, p := range []struct {
		key  string
		path *string
	}{{"input_path", &c.Input}, {"output_path", &c.Output}, {"audit_path", &c.Ops.Audit}, {"standing_path", &c.Ops.Standing}} {
		v.used[p.key] = true
		if e, ok := v.get(p.key); ok {
			var err error
			if *p.path, err = v.path(e); err != nil {
				return Config{}, err
			}
		}
	}
	var settings []entry
	for _, e := range v.entries() {
		var err error
		switch {
		case v.used[e.key]:
		case e.key == "sleep_delay":
			c.SleepDelay, err = duration(e)
		default:
			settings = append(settings, e)
			var unknown *breaker.UnknownKeyError
			if err = set(&c.Settings, e); errors.As(err, &unknown) {
				err = wrong(e.line, "%w (or input_path, output_path, audit_path, standing_path, sleep_delay)", errors.Unwrap(err))
			}
		}
		if err != nil {
			return Config{}, err
		}
	}
	return c, validate("defaults", c.Settings, main, settings)
}

// addBreaker reads a breaker's section, on top of the main section.
func (c *Config) addBreaker(s *section, name string) error {
	settings := c.Settings
	for _, e := range s.keys {
		switch e.key {
		case "input_path", "output_path", "audit_path", "standing_path", "sleep_delay":
			return wrong(e.line, "%s is not a setting of a single breaker, want it in [pybreaker]", e.key)
		}
		if err := set(&settings, e); err != nil {
			return err
		}
	}
	if err := validate(name, settings, s, s.keys); err != nil {
		return err
	}
	c.Breakers = append(c.Breakers, Breaker{name, settings})
	return nil
}

// validate checks the settings, and adds the line of the field that is
// invalid.
func validate(name string, set breaker.Settings, s *section, keys []entry) error {
	err := breaker.ValidateName(name)
	if err == nil {
		err = set.Validate()
	}
	if err == nil {
		return nil
	}
	line := s.line
	var field *breaker.SettingsError
	if errors.As(err, &field) {
		for _, e := range keys {
			if e.key == field.Key {
				line = e.line
			}
		}
	}
	return &lineError{line, err}
}
