package main

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
)

// control serves the tests on a port of its own and returns its URL.
func (h *host) control() (string, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, h.counted(false))
	})
	mux.HandleFunc("DELETE /counts", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, h.counted(true))
	})
	mux.HandleFunc("GET /rules", h.listRules)
	mux.HandleFunc("POST /rules", h.addRule)
	mux.HandleFunc("DELETE /rules/{id}", h.removeRule)
	mux.HandleFunc("POST /release", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, h.release())
	})
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, h.sessions())
	})
	mux.HandleFunc("DELETE /sessions/{user}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, h.terminate(func(_, user string) bool { return user == r.PathValue("user") }))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = http.Serve(listener, mux) }()
	return "http://" + listener.Addr().String(), nil
}

func (h *host) listRules(w http.ResponseWriter, _ *http.Request) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	answer(w, h.rules)
}

func (h *host) addRule(w http.ResponseWriter, r *http.Request) {
	added := new(rule)
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(added)
	if err == nil {
		err = added.prepare()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.lastID++
	added.ID = h.lastID
	h.rules = append(h.rules, added)
	answer(w, added)
}

func (h *host) removeRule(w http.ResponseWriter, r *http.Request) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	id, _ := strconv.Atoi(r.PathValue("id"))
	at := slices.IndexFunc(h.rules, func(each *rule) bool { return each.ID == id })
	if at < 0 {
		http.Error(w, "no rule has this id", http.StatusNotFound)
		return
	}
	answer(w, h.rules[at])
	h.rules = slices.Delete(h.rules, at, at+1)
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document)
}
