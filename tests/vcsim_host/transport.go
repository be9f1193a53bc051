package main

import (
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"time"
)

// refuse drops the connection instead of doing anything.
func refuse(*host, *rule, *call, http.Handler) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	})
}

// lose does the call and drops the connection instead of answering.
func lose(_ *host, _ *rule, _ *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
}

// cut does the call and drops the connection after half of the answer.
func cut(_ *host, _ *rule, _ *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		whole := answer.Body.Bytes()
		answer.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		answer.Body.Truncate(len(whole) / 2)
		replay(answer, w)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// status answers with an HTTP status and no body instead of doing anything.
func status(_ *host, is *rule, _ *call, _ http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(is.Status)
	})
}

// sleep does the call later.
func sleep(_ *host, is *rule, _ *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(is.Seconds * float64(time.Second)))
		next.ServeHTTP(w, r)
	})
}

// expire ends the caller's session first, as if it had been idle for too long.
func expire(h *host, _ *rule, seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.terminate(func(key, _ string) bool { return key == seen.session })
		next.ServeHTTP(w, r)
	})
}

// panics is what the simulator does with some requests: the handler dies with its object locked, so
// that all further calls to the object hang.
func panics(h *host, _ *rule, seen *call, _ http.Handler) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if method, err := seen.method(); err == nil {
			h.service.Context.Map.AcquireLock(h.context(), method.This)
		}
		panic("asked for by a rule")
	})
}

// exit is the end of the process, as after SIGKILL.
func exit(*host, *rule, *call, http.Handler) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		log.Print("asked by a rule to exit")
		os.Exit(1)
	})
}

func replay(answer *httptest.ResponseRecorder, w http.ResponseWriter) {
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}
