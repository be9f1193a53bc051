package main

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/vmware/govmomi/vim25/soap"
)

// call is a request as rules see it. name: the SOAP method, or verb and path of anything else.
// object: the id of the managed object. user: who is logged in, or empty.
type call struct {
	name, object, user, session string
	body                        []byte
}

var (
	methodElement = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)
	thisElement   = regexp.MustCompile(`<_this\b[^>]*>([^<]*)<`)
)

// read takes the call out of a request, whose body can be read again afterwards.
func (h *host) read(r *http.Request) (*call, error) {
	seen := &call{name: r.Method + " " + r.URL.Path}
	if cookie, err := r.Cookie(soap.SessionCookieName); err == nil {
		seen.session = cookie.Value
		seen.user = h.sessions()[cookie.Value]
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/xml") {
		return seen, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if found := methodElement.FindSubmatch(body); found != nil {
		seen.name = string(found[1])
	}
	body = withPlainName(seen.name, body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	seen.body = body
	if found := thisElement.FindSubmatch(body); found != nil {
		seen.object = string(found[1])
	}
	return seen, nil
}
