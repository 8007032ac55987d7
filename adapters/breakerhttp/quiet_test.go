package breakerhttp_test

import (
	"io"
	"log"
)

// quiet is for servers whose handlers panic on purpose.
var quiet = log.New(io.Discard, "", 0)
