package main

import (
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// completeAccess does what an endpoint does with roles and the simulator does not:
// AuthorizationManager.UpdateAuthorizationRole takes an empty list of privileges, too, of which
// those remain that every role has; RemoveAuthorizationRole with failIfUsed is refused while a
// permission gives the role (RemoveFailed).
func (h *host) completeAccess(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "UpdateAuthorizationRole":
		return h.emptyRole(seen, next)
	case "RemoveAuthorizationRole":
		return h.usedRole(seen, next)
	}
	return next
}

func (h *host) emptyRole(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		method, err := seen.method()
		if err == nil && answer.Code == http.StatusOK {
			asked := method.Body.(*types.UpdateAuthorizationRole)
			own := h.context()
			manager := own.Map.Get(method.This).(*simulator.AuthorizationManager)
			own.Map.WithLock(own, manager, func() {
				for i := range manager.RoleList {
					role := &manager.RoleList[i]
					if role.RoleId != asked.RoleId || len(asked.PrivIds) > 0 {
						continue
					}
					var left []string
					for _, privilege := range role.Privilege {
						if strings.HasPrefix(privilege, "System.") {
							left = append(left, privilege)
						}
					}
					role.Privilege = left
				}
			})
		}
		replay(answer, w)
	})
}

func (h *host) usedRole(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method, err := seen.method(); err == nil {
			asked := method.Body.(*types.RemoveAuthorizationRole)
			manager := h.context().Map.Get(method.This).(*simulator.AuthorizationManager)
			request := &types.RetrieveRolePermissions{This: method.This, RoleId: asked.RoleId}
			given := manager.RetrieveRolePermissions(request).(*methods.RetrieveRolePermissionsBody)
			if asked.FailIfUsed && len(given.Res.Returnval) > 0 {
				answerWithFault(w, new(types.RemoveFailed), "as a permission gives it")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
