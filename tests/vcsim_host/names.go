package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// names are those that machines being created will have.
type names struct {
	mutex sync.Mutex
	taken map[name]*simulator.Task
}

type name struct {
	folder types.ManagedObjectReference
	text   string
}

var (
	taskElement = regexp.MustCompile(`<returnval [^>]*type="Task"[^>]*>([^<]+)<`)
	nameElement = regexp.MustCompile(`<name\b[^>]*>[^<]*</name>`)
	escaping    = strings.NewReplacer("%", "%25", "/", "%2f", `\`, "%5c")
	unescaping  = strings.NewReplacer(
		"%25", "%", "%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`)
)

// withPlainName is the body of a call without the escapes in the name of what it makes: a vCenter
// takes them for what they stand for, the simulator escapes them once more.
func withPlainName(method string, body []byte) []byte {
	if method != "CreateVM_Task" && method != "CreateFolder" {
		return body
	}
	return nameElement.ReplaceAllFunc(body, func(element []byte) []byte {
		return []byte(unescaping.Replace(string(element)))
	})
}

// refuseDuplicate fails the creation of a second machine of one name in one folder, as a vCenter
// does; the simulator would make it, or make both while neither is there yet.
func (h *host) refuseDuplicate(seen *call, next http.Handler) http.Handler {
	if seen.name != "CreateVM_Task" && seen.name != "CloneVM_Task" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, err := seen.method()
		if err != nil {
			next.ServeHTTP(w, r) // the simulator says what is wrong with it
			return
		}
		var asked name
		switch request := method.Body.(type) {
		case *types.CreateVM_Task:
			asked = name{method.This, request.Config.Name}
		case *types.CloneVM_Task:
			asked = name{request.Folder, request.Name}
		}
		wanted := name{asked.folder, escaping.Replace(asked.text)}
		if other := h.reserve(wanted); other != nil {
			raised := &types.DuplicateName{Name: asked.text, Object: *other}
			h.answerWithTask(seen, func(task *simulator.Task, _ *simulator.Method) error {
				h.finish(task, nil, raised)
				return nil
			}).ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		h.keep(wanted, answer.Body.Bytes())
		replay(answer, w)
	})
}

// reserve takes a name, or says what has it: a machine, or the folder in which one is being made.
func (h *host) reserve(wanted name) *types.ManagedObjectReference {
	h.names.mutex.Lock()
	task, exists := h.names.taken[wanted]
	if exists && (task == nil || !done(h, task)) {
		h.names.mutex.Unlock()
		return &wanted.folder
	}
	if h.names.taken == nil {
		h.names.taken = map[name]*simulator.Task{}
	}
	h.names.taken[wanted] = nil
	h.names.mutex.Unlock()

	own := h.context()
	folder, ok := own.Map.Get(wanted.folder).(*simulator.Folder)
	if !ok {
		return nil
	}
	var other *types.ManagedObjectReference
	own.Map.WithLock(own, folder, func() {
		if found := own.Map.FindByName(wanted.text, folder.ChildEntity); found != nil {
			reference := found.Reference()
			other = &reference
		}
	})
	if other != nil {
		h.keep(wanted, nil)
	}
	return other
}

// keep holds the name for as long as the task of this answer runs.
func (h *host) keep(reserved name, answer []byte) {
	h.names.mutex.Lock()
	defer h.names.mutex.Unlock()
	delete(h.names.taken, reserved)
	if found := taskElement.FindSubmatch(answer); found != nil {
		reference := types.ManagedObjectReference{Type: "Task", Value: string(found[1])}
		if task, ok := h.service.Context.Map.Get(reference).(*simulator.Task); ok {
			h.names.taken[reserved] = task
		}
	}
}
