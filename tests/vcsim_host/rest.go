package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// collections are the parts of the REST API that a vCenter has under /api and the simulator under
// /rest/com/vmware alone; the longest that a path begins with counts. Source of the forms: vSphere
// Automation API, "Using the REST API", the new and the old format of requests and answers.
var collections = map[string]string{
	"session":                     "cis/session",
	"cis/tagging/category":        "cis/tagging/category",
	"cis/tagging/tag":             "cis/tagging/tag",
	"cis/tagging/tag-association": "cis/tagging/tag-association",
}

// restCall is a request to /api in the words of /rest.
type restCall struct {
	verb, path, action string
	isCollection       bool
	body               []byte
}

// completeRest answers what is asked under /api.
func (h *host) completeRest(seen *call, next http.Handler) http.Handler {
	verb, path, found := strings.Cut(seen.name, " /api/")
	collection, rest := collectionOf(path)
	if !found || collection == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		asked := restCall{
			verb: verb, path: "/rest/com/vmware/" + collections[collection],
			action: r.URL.Query().Get("action"), isCollection: rest == "", body: body,
		}
		if asked.action == "list-tags-for-category" {
			var of struct {
				Category string `json:"category_id"`
			}
			_ = json.Unmarshal(body, &of)
			rest, asked.body = of.Category, nil
		}
		if rest != "" {
			asked.path += "/id:" + rest
		}
		if collection == "cis/tagging/tag-association" && breaksCardinality(next, r, rest, asked) {
			answerWithRestError(w, http.StatusBadRequest, "INVALID_ARGUMENT")
			return
		}
		asked.answer(w, asked.send(next, r))
	})
}

func collectionOf(path string) (collection, rest string) {
	for name := range collections {
		after, found := strings.CutPrefix(path, name)
		if found && (after == "" || after[0] == '/') && len(name) > len(collection) {
			collection, rest = name, strings.TrimPrefix(after, "/")
		}
	}
	return collection, rest
}

// send asks the simulator, in the session of the request like.
func (c restCall) send(next http.Handler, like *http.Request) *httptest.ResponseRecorder {
	body := c.body
	if c.isCollection && c.action == "" && c.verb == http.MethodPost && len(body) > 0 {
		body = wrapped("create_spec", body)
	}
	if c.verb == http.MethodPatch {
		body = wrapped("update_spec", body)
	}
	asked := like.Clone(like.Context())
	asked.Method, asked.Body = c.verb, io.NopCloser(bytes.NewReader(body))
	asked.ContentLength = int64(len(body))
	asked.URL.Path, asked.URL.RawPath = c.path, ""
	query := asked.URL.Query()
	query.Del("action")
	if c.action != "" {
		query.Set("~action", c.action)
	}
	asked.URL.RawQuery = query.Encode()
	asked.RequestURI = asked.URL.RequestURI()
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, asked)
	return answer
}

// answer tells what the simulator said in the form of /api.
func (c restCall) answer(w http.ResponseWriter, said *httptest.ResponseRecorder) {
	var told struct {
		Type  string          `json:"type"`
		Value json.RawMessage `json:"value"`
	}
	_ = json.Unmarshal(said.Body.Bytes(), &told)
	if said.Code >= http.StatusBadRequest {
		kind := strings.ToUpper(told.Type[strings.LastIndex(told.Type, ".")+1:])
		if kind == "" {
			kind = map[int]string{
				http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusNotFound: "NOT_FOUND",
			}[said.Code]
		}
		answerWithRestError(w, said.Code, kind)
		return
	}
	isMade := c.verb == http.MethodPost && c.isCollection && c.action == ""
	isList := c.verb == http.MethodGet && c.isCollection || strings.HasPrefix(c.action, "list-")
	if told.Value == nil || string(told.Value) == "null" {
		if !isList {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		told.Value = json.RawMessage("[]")
	}
	w.Header().Set("Content-Type", "application/json")
	if isMade {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = w.Write(told.Value)
}

func answerWithRestError(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error_type": kind,
		"messages":   []map[string]any{{"id": "by.the.lab", "default_message": "it says so"}},
	})
}

func wrapped(name string, body []byte) []byte {
	whole, err := json.Marshal(map[string]json.RawMessage{name: body})
	if err != nil {
		return body
	}
	return whole
}

// breaksCardinality: whether an object would get a second tag of a category that has one for each
// object (TagAssociation.attach: InvalidArgument), which the simulator does not look at.
func breaksCardinality(next http.Handler, like *http.Request, tag string, asked restCall) bool {
	if asked.action != "attach" && asked.action != "attach-multiple-tags-to-object" {
		return false
	}
	var body struct {
		Object json.RawMessage `json:"object_id"`
		Tags   []string        `json:"tag_ids"`
	}
	if json.Unmarshal(asked.body, &body) != nil {
		return false
	}
	there := map[string]string{}
	var ids []string
	object, _ := json.Marshal(map[string]json.RawMessage{"object_id": body.Object})
	attached := restCall{
		verb: http.MethodPost, path: "/rest/com/vmware/cis/tagging/tag-association",
		action: "list-attached-tags", body: object,
	}
	attached.value(next, like, &ids)
	for _, id := range ids {
		if category := singleCategory(next, like, id); category != "" {
			there[category] = id
		}
	}
	if tag != "" {
		body.Tags = []string{tag}
	}
	for _, id := range body.Tags {
		category := singleCategory(next, like, id)
		if other, taken := there[category]; category != "" && taken && other != id {
			return true
		}
		there[category] = id
	}
	return false
}

// singleCategory is the category of a tag, if that has one tag for each object.
func singleCategory(next http.Handler, like *http.Request, tag string) string {
	var found struct {
		Category    string `json:"category_id"`
		Cardinality string `json:"cardinality"`
	}
	get := restCall{verb: http.MethodGet, path: "/rest/com/vmware/cis/tagging/tag/id:" + tag}
	get.value(next, like, &found)
	category := found.Category
	get.path = "/rest/com/vmware/cis/tagging/category/id:" + category
	get.value(next, like, &found)
	if found.Cardinality != "SINGLE" {
		return ""
	}
	return category
}

func (c restCall) value(next http.Handler, like *http.Request, into any) {
	told := struct {
		Value any `json:"value"`
	}{into}
	_ = json.Unmarshal(c.send(next, like).Body.Bytes(), &told)
}
