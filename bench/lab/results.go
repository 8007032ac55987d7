package lab

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
)

// The rows of a whole run are kept beside the code, so that the page can be
// written, and checked, without playing all scenes.
const resultsFile = "testdata/results.tsv"

// results is the rows by scene and contender.
type results map[string]map[string]row

// fields lists a row's fields as pointers, in order.
func (r *row) fields() (names []string, values []any) {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		names = append(names, v.Type().Field(i).Name)
		values = append(values, v.Field(i).Addr().Interface())
	}
	return names, values
}

func (all results) write() error {
	var b strings.Builder
	names, _ := new(row).fields()
	fmt.Fprintf(&b, "scene\tcontender\t%s\n", strings.Join(names, "\t"))
	for _, s := range everyScene() {
		for _, c := range contenders() {
			r, ok := all[s.id][c.name]
			if !ok {
				continue // not yet played
			}
			fmt.Fprintf(&b, "%s\t%s", s.id, c.name)
			_, values := r.fields()
			for _, v := range values {
				switch v := v.(type) {
				case *int:
					fmt.Fprintf(&b, "\t%d", *v)
				case *float64:
					fmt.Fprintf(&b, "\t%.5g", *v)
				}
			}
			b.WriteByte('\n')
		}
	}
	return os.WriteFile(resultsFile, []byte(b.String()), 0o644)
}

func readResults() (results, error) {
	data, err := os.ReadFile(resultsFile)
	if err != nil {
		return nil, err
	}
	all := results{}
	_, rows, _ := strings.Cut(string(data), "\n")
	for line := range strings.Lines(rows) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		var r row
		_, values := r.fields()
		if len(parts) != 2+len(values) {
			return nil, fmt.Errorf("%s: got %q, want %d columns", resultsFile, line, 2+len(values))
		}
		for i, v := range values {
			switch v := v.(type) {
			case *int:
				*v, err = strconv.Atoi(parts[2+i])
			case *float64:
				*v, err = strconv.ParseFloat(parts[2+i], 64)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", resultsFile, err)
			}
		}
		if all[parts[0]] == nil {
			all[parts[0]] = map[string]row{}
		}
		all[parts[0]][parts[1]] = r
	}
	return all, nil
}
