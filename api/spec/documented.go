package spec

import (
	"fmt"
	"strings"
)

// ErrorFor returns the documented error that an action has for a code: its
// own, else a common one, else that of another supported action. With a
// fragment, the message must hold it; a code with several messages needs one. It
// fails if the code is documented nowhere, or if the fragment does not decide.
func (f *Family) ErrorFor(a *Action, code, fragment string) (Error, error) {
	lists := [][]Error{a.Errors, f.CommonErrors}
	for _, other := range f.Actions() {
		if other.Supported() {
			lists = append(lists, other.Errors)
		}
	}
	for _, list := range lists {
		var found []Error
		for _, e := range list {
			if e, ok := e.under(code); ok && strings.Contains(e.Message, fragment) {
				found = append(found, e)
			}
		}
		if len(found) == 0 {
			continue
		}
		for _, e := range found[1:] {
			if e.Message != found[0].Message {
				return Error{}, fmt.Errorf("code %s has several messages; choose one by malformed_message", code)
			}
		}
		return found[0], nil
	}
	return Error{}, fmt.Errorf("code %s with a message holding %q is documented nowhere", code, fragment)
}

// under returns a documented error as it is under a code. A document may leave
// a part of a code open, and repeat it in the message: InvalidParam.%s. What
// stands in its place in the code that is asked for is put into both.
func (e Error) under(code string) (Error, bool) {
	head, tail, open := strings.Cut(e.Code, "%s")
	if !open {
		return e, e.Code == code
	}
	if !strings.HasPrefix(code, head) || !strings.HasSuffix(code, tail) || len(code) <= len(head)+len(tail) {
		return e, false
	}
	e.Message = strings.ReplaceAll(e.Message, "%s", code[len(head):len(code)-len(tail)])
	e.Code = code
	return e, true
}
