package breaker

import (
	"strings"
	"testing"
)

func TestNewPanicsOnInvalidArguments(t *testing.T) {
	for name, make := range map[string]func(){
		"settings": func() { New("db", Settings{FailureRate: 2}) },
		"no name":  func() { New("", Settings{}) },
		"slash":    func() { New("a/b", Settings{}) },
		"newline":  func() { New("a\nb", Settings{}) },
		"blank":    func() { New(" a", Settings{}) },
		"long":     func() { New(strings.Repeat("a", 129), Settings{}) },
		"utf8":     func() { New("\xff", Settings{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p == nil {
					t.Error("New did not panic")
				}
			}()
			make()
		})
	}
}
