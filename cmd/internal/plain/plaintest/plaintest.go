// Package plaintest feeds programs what a hostile process may answer, and
// looks for it in their output. It is for tests.
package plaintest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
)

// Hostile has one of each kind of text that must not reach a terminal.
const Hostile = "\x1b]0;pwned\a\x1b[2J\x1b[31m\x9b\u009b1m\r\b\x00\x7f" + // obeyed
	"\u202epng\u202c\u2066x\u2069\u200f\u061c" + // turns the direction
	"z\u200bw\u200c\u200d\u2060\ufeff\u00ad\u034f\ufe0f\u3164\u2800\U000e0041" + // not seen
	"\u2028\u2029\u0085\v\f\t\n" + fakeLine + // ends the line
	"\u00a0\u3000\ue000" // looks like a blank, or like nothing known

// fakeLine would be the beginning of a line that the program did not write.
const fakeLine = "FAKE"

// Fill sets every string in what p points to, at any depth, to something
// hostile: fields, elements, and keys of maps, including types that are added
// later. Each begins with the name of its field.
func Fill(p any) { fill(reflect.ValueOf(p).Elem(), "root", 0) }

const deepest = 8

func fill(v reflect.Value, name string, depth int) {
	if depth > deepest {
		return
	}
	hostile := name + strings.ToValidUTF8(Hostile, "")
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Now().Add(-time.Minute)
		return
	case *json.RawMessage:
		*x, _ = json.Marshal(hostile)
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(time.Minute)) // many strings are durations
	case reflect.Int32:
		v.SetInt(3)
	case reflect.Uint, reflect.Uint64, reflect.Uint32, reflect.Uint8:
		v.SetUint(3) // of a State: forced open
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), fmt.Sprint(name, i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), name, depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, name, depth+1)
		fill(value, name, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fill(v.Field(i), f.Name, depth+1)
			}
		}
	}
}

var style = regexp.MustCompile(`\x1b\[[0-9;:]*m`)

// Check reports what in the output of a program is not plain: everything
// except letters, numbers and the like, blanks and line ends. A program's own
// colours and tabs are ignored.
func Check(t testing.TB, what, output string) {
	t.Helper()
	if strings.Contains(output, "\n"+fakeLine) {
		t.Errorf("%s has a line that the program did not write:\n%.2000s", what, output)
	}
	for _, r := range style.ReplaceAllString(output, "") {
		if r != '\n' && r != '\t' && (!unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == '\u2800') {
			t.Errorf("%s prints %q:\n%.2000q", what, r, output)
			return
		}
	}
}
