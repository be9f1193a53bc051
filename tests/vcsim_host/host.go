package main

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
)

// host stands between the clients and the simulator: it counts, delays, and applies the rules.
type host struct {
	service *simulator.Service
	inner   http.Handler
	delay   time.Duration
	names   names
	whole   sync.RWMutex

	addresses atomic.Uint32

	mutex  sync.Mutex
	counts map[string]int
	rules  []*rule
	lastID int
	held   []*held
	leases map[string]name
}

func newHost(service *simulator.Service, inner http.Handler, delay time.Duration) *host {
	return &host{
		service: service, inner: inner, delay: delay,
		counts: map[string]int{}, leases: map[string]name{},
	}
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, err := h.read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(h.delay)
	h.handler(seen).ServeHTTP(w, r)
}

// handler is the simulator with the rules for this call around it, the first outermost; those that
// give the call another task are innermost, so that its name is taken like that of any other.
func (h *host) handler(seen *call) http.Handler {
	around, tasks := h.matching(seen)
	handler := h.completeLibraries(seen, h.completeRest(seen, h.browse(seen, h.chooseHost(seen, h.inner))))
	handler = h.completePower(seen, h.completeClones(seen, handler))
	for _, matched := range slices.Backward(tasks) {
		handler = actions[matched.Do](h, matched, seen, handler)
	}
	handler = h.completeStorage(seen, h.completeSnapshots(seen, handler))
	handler = h.completeQuestions(seen, handler)
	handler = h.completeHosts(seen, h.completeAccess(seen, handler))
	handler = h.completeFields(seen, h.completeHierarchy(seen, handler))
	handler = h.requireHost(seen, h.completeImages(seen, h.refuseDuplicate(seen, handler)))
	handler = h.inTurn(seen, handler)
	for _, matched := range slices.Backward(around) {
		handler = actions[matched.Do](h, matched, seen, handler)
	}
	return handler
}

func (h *host) matching(seen *call) (around, tasks []*rule) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.counts[seen.name]++
	for _, candidate := range h.rules {
		if !candidate.matches(seen) {
			continue
		}
		if candidate.Do == "hold" || candidate.Do == "ask" || candidate.Do == "fail" {
			tasks = append(tasks, candidate)
		} else {
			around = append(around, candidate)
		}
	}
	return around, tasks
}

// counted is how often each method was called, and forgets it if asked to.
func (h *host) counted(reset bool) map[string]int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	counts := maps.Clone(h.counts)
	if reset {
		clear(h.counts)
	}
	return counts
}

// context is one's own: two that share one do not lock each other out.
func (h *host) context() *simulator.Context {
	own := *h.service.Context
	return &own
}
