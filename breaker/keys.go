package breaker

import (
	"fmt"
	"reflect"
	"strconv"
)

// keyText is how a key stands in an id: a string as it is, anything else as
// fmt prints it.
func keyText[K comparable](k K) (text string) {
	if s, ok := any(k).(string); ok {
		return s
	}
	return fmt.Sprint(k)
}

// parseKey is the key whose text this is, for strings and whole numbers.
func parseKey[K comparable](text string) (k K, ok bool) {
	v := reflect.ValueOf(&k).Elem()
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return k, false
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return k, false
		}
		v.SetUint(n)
	default:
		return k, false
	}
	return k, keyText(k) == text // a String method may print it otherwise
}

// lookup is the remembered breaker whose key has this text, or nil.
func (s *Set[K]) lookup(text string) *Breaker {
	if k, ok := parseKey[K](text); ok {
		if b := s.find(k); b != nil {
			return b
		}
	}
	if b := s.overflow.Load(); b != nil && text == overflowKey {
		return b
	}
	var zero K
	if reflect.TypeOf(&zero).Elem() == reflect.TypeFor[string]() {
		return nil // a string's text is the key: it would have been found
	}
	for _, b := range s.all() {
		if b.key == text {
			return b
		}
	}
	return nil
}

// ids is up to most ids that the set remembers.
func (s *Set[K]) ids(most int) (out []string) {
	for _, b := range s.all() {
		if len(out) == most {
			break
		}
		out = append(out, b.ID())
	}
	return out
}
