//go:build !go1.27

package breakersql

import "database/sql/driver"

// wholeRows returns r: drivers scan columns themselves from Go 1.27 on.
func wholeRows(r *rows) driver.Rows { return r }
