package fifo

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/switchgear-go/switchgear/breaker"
)

const (
	flagSuccess = "SUCCESS"
	flagError   = "ERROR"
)

// reply is the content of a reply file.
type reply struct {
	ok   bool
	body string
}

// parseReply parses a reply file. whole is false while the last byte is not a
// newline: a writer that writes in place has not finished.
func parseReply(file []byte) (r reply, whole bool) {
	file, whole = bytes.CutSuffix(file, []byte("\n"))
	flag, body, _ := bytes.Cut(file, []byte("\n"))
	return reply{string(bytes.TrimSpace(flag)) == flagSuccess, string(body)}, whole
}

// question is a line to send, and what distinguishes its answer from answers to
// other programs, because a reply does not say what it replies to.
type question struct {
	line string // stripped, as the other side echoes it
	cmd  string
	id   string // the breaker asked about; "": all
	many bool   // there may be a hundred thousand breakers to go through
}

func plainQuestion(cmd, id string) question {
	line := strip(cmd + " " + id)
	_, id, _ = strings.Cut(line, " ")
	return question{line, cmd, id, cmd == cmdLook || cmd == cmdOverview}
}

// wire returns what is written to the pipe. A word without an argument is
// followed by a blank, as PyBreaker's program writes it.
func (q question) wire() []byte {
	if q.line == q.cmd {
		return []byte(q.line + " \n")
	}
	return []byte(q.line + "\n")
}

// answeredBy reports whether r can be the answer to q. settled means that r is
// complete, even if it looks like the beginning of something longer.
func (q question) answeredBy(r reply, settled bool) bool {
	switch {
	case !r.ok && (r.body == "Unexpected error" || r.body == "Invalid command: "+q.line):
		return true
	case !r.ok && q.inJSON():
		var e refused
		return json.Unmarshal([]byte(r.body), &e) == nil && e.Error != nil
	case !r.ok:
		return r.body == "Invalid identifier: "+q.id || strings.HasPrefix(r.body, upper(breaker.ErrOrder.Error()))
	case q.cmd == cmdLook:
		return strings.HasPrefix(r.body, `{"total":`)
	case q.cmd == cmdOverview:
		return strings.HasPrefix(r.body, `{"process":`)
	case q.inJSON(): // of a breaker or an order
		var of struct{ ID string }
		// JSON cannot contain bytes that are not valid UTF-8.
		return json.Unmarshal([]byte(r.body), &of) == nil && (of.ID == string([]rune(q.id)) || printable(of.ID) == q.id)
	case q.cmd == cmdStatus:
		return settled && isTable(r.body, q.id)
	default:
		return r.body == changed(q.id)
	}
}

// orders reports whether the question is an order.
func (q question) orders() bool {
	_, plain := plainVerb(q.cmd)
	return plain || q.cmd == cmdOrder
}

// inJSON reports whether the answer is JSON. Only answers to our own words
// are.
func (q question) inJSON() bool {
	switch q.cmd {
	case cmdOrder, cmdLook, cmdOverview, cmdExplain, cmdHistory:
		return true
	}
	return false
}

// isTable reports whether body is a status table: a header, and lines that all
// have the same width, in characters or (PyBreaker on Python 2) in bytes. With
// an id, it is the row of that breaker alone.
func isTable(body, id string) bool {
	rows := strings.Split(body, "\n")
	var head []string
	for _, cell := range strings.Split(rows[0], columnGap) {
		if cell = strings.TrimSpace(cell); cell != "" {
			head = append(head, cell)
		}
	}
	if strings.Join(head, columnGap) != strings.Join(tableHead[:], columnGap) {
		return false
	}
	sameChars, sameBytes := true, true
	for _, r := range rows {
		sameChars = sameChars && utf8.RuneCountInString(r) == utf8.RuneCountInString(rows[0])
		sameBytes = sameBytes && len(r) == len(rows[0])
	}
	if id == "" {
		return sameChars || sameBytes
	}
	return (sameChars || sameBytes) && len(rows) == 2 &&
		strings.HasPrefix(strings.TrimLeft(rows[1], " "), strings.TrimLeft(id, " ")+columnGap)
}
