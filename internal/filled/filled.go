// Package filled makes values for tests of what is written: every exported
// field has one, and no two have the same, as far as that is possible.
package filled

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// New returns a T with a value in every exported field. Slices have two
// elements, maps one.
func New[T any]() *T {
	n, v := 0, new(T)
	set(reflect.ValueOf(v).Elem(), &n)
	return v
}

func set(v reflect.Value, n *int) {
	*n++
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte("{}"))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			set(v.Index(i), n)
		}
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		set(key, n)
		set(elem, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				set(v.Field(i), n)
			}
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 1000)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8: // an enumeration; breaker.State has the most values, 1 to 5
		v.SetUint(uint64(1 + *n%4))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		panic("filled: no value for a " + v.Kind().String())
	}
}
