package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// completeFields gives custom attributes the type of their values, which the simulator leaves out
// for those that every object can have, and pyvmomi demands.
func (h *host) completeFields(seen *call, next http.Handler) http.Handler {
	if seen.name != "AddCustomFieldDef" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		own := h.context()
		reference := types.ManagedObjectReference{Type: "CustomFieldsManager", Value: seen.object}
		if manager, ok := own.Map.Get(reference).(*simulator.CustomFieldsManager); ok {
			own.Map.WithLock(own, manager, func() {
				for i := range manager.Field {
					manager.Field[i].Type = "string"
				}
			})
		}
		whole := bytes.ReplaceAll(
			answer.Body.Bytes(), []byte("<type></type>"), []byte("<type>string</type>"))
		answer.Body = bytes.NewBuffer(whole)
		answer.Header().Del("Content-Length")
		replay(answer, w)
	})
}
