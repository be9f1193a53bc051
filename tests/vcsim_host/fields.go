package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"unicode/utf8"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// longestValue of a custom attribute: what a vCenter's database has room for.
const longestValue = 255

// completeFields gives custom attributes the type of their values, which the simulator leaves out
// for those that every object can have, and pyvmomi demands; and refuses values that are too long
// (CustomFieldsManager.SetField: InvalidArgument).
func (h *host) completeFields(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "SetField":
		return refuseLongValue(seen, next)
	case "AddCustomFieldDef":
		return h.giveType(seen, next)
	}
	return next
}

func refuseLongValue(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, err := seen.method()
		if err == nil {
			value := method.Body.(*types.SetField).Value
			if utf8.RuneCountInString(value) > longestValue {
				answerWithFault(w, &types.InvalidArgument{InvalidProperty: "value"}, "as it is too long")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (h *host) giveType(seen *call, next http.Handler) http.Handler {
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
