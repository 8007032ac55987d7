package breakersql

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchgear-go/switchgear/breaker"
)

// passed says how each interface of database/sql/driver gets through. A new
// one in a future Go is not here and fails the test.
var passed = map[string]string{
	"Driver":         "wrapped by Driver",
	"DriverContext":  "when the driver has it",
	"Connector":      "wrapped by Connector",
	"Conn":           "wrapped",
	"Pinger":         "always; without it there is no error, as database/sql has it",
	"Execer":         "as ExecerContext, which database/sql asks for first",
	"ExecerContext":  "when the connection has it, or Execer",
	"Queryer":        "as QueryerContext, which database/sql asks for first",
	"QueryerContext": "when the connection has it, or Queryer",

	"ConnPrepareContext": "when the connection has it",
	"ConnBeginTx":        "when the connection has it",
	"SessionResetter":    "always; without it there is nothing to reset, as database/sql has it",
	"Validator":          "always; without it the connection is valid, as database/sql has it",
	"NamedValueChecker":  "always; without it ErrSkip, as database/sql has it",

	"Stmt":             "wrapped",
	"StmtExecContext":  "when the statement has it",
	"StmtQueryContext": "when the statement has it",
	"ColumnConverter":  "when the statement has it",

	"Rows":                           "wrapped",
	"RowsColumnScanner":              "when the rows have it",
	"RowsNextResultSet":              "always; without it there is no other, as database/sql has it",
	"RowsColumnTypeScanType":         "always; without it any, as database/sql has it",
	"RowsColumnTypeDatabaseTypeName": "always; without it none, as database/sql has it",
	"RowsColumnTypeLength":           "always; without it not known, as database/sql has it",
	"RowsColumnTypeNullable":         "always; without it not known, as database/sql has it",
	"RowsColumnTypePrecisionScale":   "always; without it not known, as database/sql has it",

	"Tx":             "wrapped",
	"Result":         "the driver's own",
	"ValueConverter": "the driver's own",
	"Valuer":         "the program's own",
}

// The compiler checks what is said to be there always.
var _ interface {
	driver.Conn
	driver.Pinger
	driver.NamedValueChecker
	driver.SessionResetter
	driver.Validator
} = (*conn)(nil)

var _ interface {
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
} = (*rows)(nil)

var _ interface {
	driver.Stmt
	driver.NamedValueChecker
} = (*stmt)(nil)

func sqlSource(t *testing.T, dir string) []*ast.File {
	t.Helper()
	pkg, err := build.Import(path.Join("database/sql", dir), "", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(pkg.Dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("the source of database/sql is not there (%v): it belongs to every Go installation", err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func TestEveryInterfaceOfTheDriverPackageIsDealtWith(t *testing.T) {
	var found []string
	for _, f := range sqlSource(t, "driver") {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok && s.Name.IsExported() {
				if _, ok := s.Type.(*ast.InterfaceType); ok {
					found = append(found, s.Name.Name)
				}
			}
			return true
		})
	}
	for _, name := range found {
		if passed[name] == "" {
			t.Errorf("driver.%s is new: make it pass through, and say how in the table above", name)
		}
	}
	for name := range passed {
		if !slices.Contains(found, name) && name != "RowsColumnScanner" { // there from Go 1.27 on
			t.Errorf("driver.%s is in the table and no longer in the package", name)
		}
	}
}

// What database/sql asks of a driver beyond its own interfaces would be lost,
// so there must be nothing but io.Closer, of a connector.
func TestNothingElseIsAskedOfADriver(t *testing.T) {
	for _, f := range sqlSource(t, "") {
		ast.Inspect(f, func(n ast.Node) bool {
			a, ok := n.(*ast.TypeAssertExpr)
			if !ok || a.Type == nil {
				return true
			}
			switch typ := a.Type.(type) {
			case *ast.SelectorExpr:
				pkg, _ := typ.X.(*ast.Ident)
				if pkg.Name == "driver" && passed[typ.Sel.Name] == "" || pkg.Name == "io" && typ.Sel.Name != "Closer" {
					t.Errorf("database/sql asks for %s.%s, which does not pass", pkg.Name, typ.Sel.Name)
				}
			case *ast.InterfaceType:
				t.Errorf("database/sql asks for an interface without a name, which does not pass")
			}
			return true
		})
	}
}

// all has every method that a connection can have.
type all struct{}

var errAll = errors.New("all")

func (all) Close() error                                                 { return errAll }
func (all) Prepare(string) (driver.Stmt, error)                          { return nil, errAll }
func (all) Begin() (driver.Tx, error)                                    { return nil, errAll }
func (all) Ping(context.Context) error                                   { return errAll }
func (all) CheckNamedValue(*driver.NamedValue) error                     { return errAll }
func (all) PrepareContext(context.Context, string) (driver.Stmt, error)  { return nil, errAll }
func (all) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return nil, errAll }
func (all) ResetSession(context.Context) error                           { return errAll }
func (all) IsValid() bool                                                { return false }
func (all) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, errAll
}

func (all) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, errAll
}

func testGuard() *guard { return newGuard(breaker.New("db", breaker.Settings{FailMax: -1}), nil) }

// Every combination of the optional interfaces goes through as it is.
func TestShapes(t *testing.T) {
	const every = hasBeginner<<1 - 1
	if got := optional(all{}); got != every {
		t.Fatalf("a connection with all methods has %b, want %b", got, every)
	}
	g := testGuard()
	for has := range every + 1 {
		wrapped := shape(&conn{Conn: all{}, g: g}, has)
		if got := optional(wrapped); got != has {
			t.Fatalf("the type for %04b has %04b", has, got)
		}
		guarded := g.conn(wrapped)
		if got := optional(guarded); got != has {
			t.Errorf("guarded, a connection with %04b has %04b", has, got)
		}
		if Raw(guarded) != wrapped {
			t.Errorf("%04b: Raw is not the connection that was wrapped", has)
		}
		// Each method goes to its own place.
		if e, ok := guarded.(driver.ExecerContext); ok {
			if _, err := e.ExecContext(context.Background(), "", nil); err != errAll {
				t.Errorf("%04b: ExecContext %v", has, err)
			}
		}
		if q, ok := guarded.(driver.QueryerContext); ok {
			if _, err := q.QueryContext(context.Background(), "", nil); err != errAll {
				t.Errorf("%04b: QueryContext %v", has, err)
			}
		}
		if p, ok := guarded.(driver.ConnPrepareContext); ok {
			if _, err := p.PrepareContext(context.Background(), ""); err != errAll {
				t.Errorf("%04b: PrepareContext %v", has, err)
			}
		}
		if b, ok := guarded.(driver.ConnBeginTx); ok {
			if _, err := b.BeginTx(context.Background(), driver.TxOptions{}); err != errAll {
				t.Errorf("%04b: BeginTx %v", has, err)
			}
		}
		if guarded.(driver.SessionResetter).ResetSession(context.Background()) != errAll {
			t.Errorf("%04b: ResetSession does not get through", has)
		}
		if guarded.(driver.Validator).IsValid() {
			t.Errorf("%04b: IsValid does not get through", has)
		}
	}
}

// old has the methods of a connection of Go 1.7 and before.
type old struct{ driver.Conn }

func (old) Exec(string, []driver.Value) (driver.Result, error) { return nil, errAll }
func (old) Query(string, []driver.Value) (driver.Rows, error)  { return nil, errAll }

func TestOldConnections(t *testing.T) {
	guarded := testGuard().conn(old{})
	if got, want := optional(guarded), hasExecer|hasQueryer; got != want {
		t.Fatalf("guarded, an old connection has %04b, want %04b", got, want)
	}
	ctx := context.Background()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	named := []driver.NamedValue{{Name: "n", Ordinal: 1}}
	for _, test := range []struct {
		ctx  context.Context
		args []driver.NamedValue
		want string
	}{
		{ctx, nil, errAll.Error()},
		{gone, nil, context.Canceled.Error()},
		{ctx, named, "sql: driver does not support the use of Named Parameters"},
	} {
		_, err := guarded.(driver.ExecerContext).ExecContext(test.ctx, "", test.args)
		if err == nil || err.Error() != test.want {
			t.Errorf("Exec: %v, want %s", err, test.want)
		}
		_, err = guarded.(driver.QueryerContext).QueryContext(test.ctx, "", test.args)
		if err == nil || err.Error() != test.want {
			t.Errorf("Query: %v, want %s", err, test.want)
		}
	}
}

func TestPlainConnection(t *testing.T) {
	plain := testGuard().conn(struct{ driver.Conn }{})
	if optional(plain) != 0 {
		t.Errorf("guarded, a plain connection has %04b", optional(plain))
	}
	if err := plain.(driver.Pinger).Ping(context.Background()); err != nil {
		t.Errorf("ping of a connection that cannot: %v", err)
	}
	if err := plain.(driver.SessionResetter).ResetSession(context.Background()); err != nil {
		t.Errorf("reset of a connection that cannot: %v", err)
	}
	if !plain.(driver.Validator).IsValid() {
		t.Error("a connection that cannot say so is not valid")
	}
	if err := plain.(driver.NamedValueChecker).CheckNamedValue(nil); err != driver.ErrSkip {
		t.Errorf("check of a connection that cannot: %v, want ErrSkip", err)
	}
}

func TestStatementShapes(t *testing.T) {
	type (
		exec  = driver.StmtExecContext
		query = driver.StmtQueryContext
		conv  = driver.ColumnConverter //nolint:staticcheck // deprecated, and still served
	)
	has := func(s driver.Stmt) [3]bool {
		_, e := s.(exec)
		_, q := s.(query)
		_, c := s.(conv)
		return [3]bool{e, q, c}
	}
	c := &conn{Conn: all{}, g: testGuard()}
	for _, s := range []driver.Stmt{
		struct{ driver.Stmt }{},
		struct {
			driver.Stmt
			exec
		}{},
		struct {
			driver.Stmt
			query
		}{},
		struct {
			driver.Stmt
			conv
		}{},
		struct {
			driver.Stmt
			exec
			query
		}{},
		struct {
			driver.Stmt
			exec
			conv
		}{},
		struct {
			driver.Stmt
			query
			conv
		}{},
		struct {
			driver.Stmt
			exec
			query
			conv
		}{},
	} {
		if got, want := has(c.stmt(s)), has(s); got != want {
			t.Errorf("guarded, a statement with %v has %v", want, got)
		}
	}
	// Whose checker is asked: the statement's, else the connection's.
	own := struct {
		driver.Stmt
		driver.NamedValueChecker
	}{nil, checker{}}
	if err := c.stmt(own).(driver.NamedValueChecker).CheckNamedValue(nil); err != errChecker {
		t.Errorf("%v, want the statement's own answer", err)
	}
	if err := c.stmt(struct{ driver.Stmt }{}).(driver.NamedValueChecker).CheckNamedValue(nil); err != errAll {
		t.Errorf("%v, want the connection's answer", err)
	}
}

var errChecker = errors.New("checked")

type checker struct{}

func (checker) CheckNamedValue(*driver.NamedValue) error { return errChecker }

// The generated file is what the generator writes.
func TestShapesAreGenerated(t *testing.T) {
	want, err := os.ReadFile("shapes.go")
	if err != nil {
		t.Fatal(err)
	}
	generator, err := filepath.Abs("shapes_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := exec.Command("go", "run", generator)
	run.Dir = dir
	run.Env = append(os.Environ(), "GO111MODULE=off")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "shapes.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("shapes.go is not what shapes_gen.go writes, want go generate")
	}
}
