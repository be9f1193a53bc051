package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
)

// rule says which calls go wrong and how. Method: a regular expression for the whole name. Object
// and User: empty for all. The first Skip calls that match go well, the next Times (0: all) do not.
// Do: a name of actions. Question: the id of the message that a machine asks with. Fault: JSON of a vim fault with its type as _typeName.
type rule struct {
	ID       int             `json:"id"`
	Method   string          `json:"method"`
	Object   string          `json:"object"`
	User     string          `json:"user"`
	Skip     int             `json:"skip"`
	Times    int             `json:"times"`
	Do       string          `json:"do"`
	Status   int             `json:"status"`
	Seconds  float64         `json:"seconds"`
	Question string          `json:"question"`
	Fault    json.RawMessage `json:"fault,omitempty"`
	Hits     int             `json:"hits"`

	method *regexp.Regexp
	seen   int
}

// action is what a rule does to a call that would otherwise go to next.
type action func(h *host, is *rule, seen *call, next http.Handler) http.Handler

var actions = map[string]action{
	"refuse": refuse, "lose": lose, "cut": cut, "status": status, "sleep": sleep, "expire": expire,
	"fault": fault, "fail": fail, "hold": hold, "ask": ask, "panic": panics, "exit": exit,
}

func (is *rule) prepare() error {
	if _, known := actions[is.Do]; !known {
		return fmt.Errorf("%q is no action", is.Do)
	}
	if is.Do == "fault" || is.Do == "fail" {
		if _, err := is.decoded(nil); err != nil {
			return fmt.Errorf("fault %s: %w", is.Fault, err)
		}
	}
	var err error
	is.method, err = regexp.Compile("^(?:" + is.Method + ")$")
	return err
}

// matches counts the calls that it sees, so it is to be asked once for each.
func (is *rule) matches(seen *call) bool {
	if !is.method.MatchString(seen.name) ||
		is.Object != "" && is.Object != seen.object ||
		is.User != "" && is.User != seen.user {
		return false
	}
	is.seen++
	if is.seen <= is.Skip || is.Times > 0 && is.Hits == is.Times {
		return false
	}
	is.Hits++
	return true
}
