package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// completeAccess does what an endpoint does with roles and permissions and the simulator does not:
// AuthorizationManager.UpdateAuthorizationRole takes an empty list of privileges, too, of which
// those remain that every role has; RemoveAuthorizationRole with failIfUsed is refused while a
// permission gives the role (RemoveFailed). SetEntityPermissions leaves what others have on the
// object, and calls a name@domain DOMAIN\name; of a role that is not there, and of a permission to
// be removed, NotFound; what would leave no administrator of the whole inventory,
// AuthMinimumAdminPermission; a removed object's permissions are removed.
func (h *host) completeAccess(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "UpdateAuthorizationRole":
		return h.emptyRole(seen, next)
	case "RemoveAuthorizationRole":
		return h.usedRole(seen, next)
	case "SetEntityPermissions":
		return h.setPermissions(seen)
	case "RemoveEntityPermission":
		return h.removePermission(seen)
	case "RetrieveAllPermissions":
		return h.allPermissions(seen, next)
	}
	return next
}

// knowPrivileges fills AuthorizationManager.privilegeList, which the simulator leaves empty, with all
// that the role Admin has.
func knowPrivileges(service *simulator.Service) {
	registry := service.Context.Map
	manager := registry.Get(*registry.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).
		Content.AuthorizationManager).(*simulator.AuthorizationManager)
	for _, role := range manager.RoleList {
		if role.Name != "Admin" {
			continue
		}
		for _, id := range role.Privilege {
			group, name, _ := strings.Cut(id, ".")
			manager.PrivilegeList = append(manager.PrivilegeList, types.AuthorizationPrivilege{
				PrivId: id, Name: name, PrivGroupName: group,
			})
		}
	}
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

func (h *host) setPermissions(seen *call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		asked := method.Body.(*types.SetEntityPermissions)
		h.rewrite(w, method, asked.Entity, func(manager *simulator.AuthorizationManager,
			set []types.Permission) ([]types.Permission, bool) {
			for _, given := range asked.Permission {
				if object.AuthorizationRoleList(manager.RoleList).ById(given.RoleId) == nil {
					return nil, false
				}
				given.Principal, given.Entity = asDomainName(given.Principal), &asked.Entity
				set = append(without(set, given.Principal, given.Group), given)
			}
			return set, true
		})
	})
}

func (h *host) removePermission(seen *call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		asked := method.Body.(*types.RemoveEntityPermission)
		h.rewrite(w, method, asked.Entity, func(_ *simulator.AuthorizationManager,
			set []types.Permission) ([]types.Permission, bool) {
			left := without(set, asDomainName(asked.User), asked.IsGroup)
			return left, len(left) < len(set)
		})
	})
}

// rewrite has an object's permissions be those that edit makes of them; if it cannot, NotFound.
func (h *host) rewrite(
	w http.ResponseWriter, method *simulator.Method, entity types.ManagedObjectReference,
	edit func(*simulator.AuthorizationManager, []types.Permission) ([]types.Permission, bool),
) {
	own := h.context()
	if own.Map.Get(entity) == nil {
		answerWithFault(w, &types.ManagedObjectNotFound{Obj: entity}, "as it is not there")
		return
	}
	manager := own.Map.Get(method.This).(*simulator.AuthorizationManager)
	own.Map.WithLock(own, manager, func() {
		set, found := edit(manager, permissionsOn(own, manager, entity))
		if !found {
			answerWithFault(w, new(types.NotFound), "as there is no such role or permission")
			return
		}
		if leavesNoAdmin(own, manager, entity, set) {
			answerWithFault(w, new(types.AuthMinimumAdminPermission), "as nobody would be left")
			return
		}
		manager.SetEntityPermissions(&types.SetEntityPermissions{
			This: method.This, Entity: entity, Permission: set,
		})
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope, fmt.Sprintf(`<%sResponse xmlns="urn:vim25"/>`, method.Name))
	})
}

// allPermissions first forgets those on objects that are not there any more.
func (h *host) allPermissions(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method, err := seen.method(); err == nil {
			own := h.context()
			manager := own.Map.Get(method.This).(*simulator.AuthorizationManager)
			own.Map.WithLock(own, manager, func() {
				all := manager.RetrieveAllPermissions(nil).(*methods.RetrieveAllPermissionsBody)
				for _, found := range all.Res.Returnval {
					if found.Entity != nil && own.Map.Get(*found.Entity) == nil {
						manager.SetEntityPermissions(
							&types.SetEntityPermissions{Entity: *found.Entity})
					}
				}
			})
		}
		next.ServeHTTP(w, r)
	})
}

func permissionsOn(
	own *simulator.Context, manager *simulator.AuthorizationManager,
	entity types.ManagedObjectReference,
) []types.Permission {
	found := manager.RetrieveEntityPermissions(
		own, &types.RetrieveEntityPermissions{Entity: entity})
	return slices.Clone(found.(*methods.RetrieveEntityPermissionsBody).Res.Returnval)
}

func without(set []types.Permission, principal string, group bool) []types.Permission {
	return slices.DeleteFunc(slices.Clone(set), func(each types.Permission) bool {
		return strings.EqualFold(each.Principal, principal) && each.Group == group
	})
}

// leavesNoAdmin: whether the root folder has a role Admin now and would not with these permissions.
func leavesNoAdmin(
	own *simulator.Context, manager *simulator.AuthorizationManager,
	entity types.ManagedObjectReference, set []types.Permission,
) bool {
	isAdmin := func(each types.Permission) bool { return each.RoleId == -1 && each.Propagate }
	root := own.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content.RootFolder
	return entity == root &&
		slices.ContainsFunc(permissionsOn(own, manager, entity), isAdmin) &&
		!slices.ContainsFunc(set, isAdmin)
}

func asDomainName(principal string) string {
	if name, domain, found := strings.Cut(principal, "@"); found {
		return strings.ToUpper(domain) + `\` + name
	}
	return principal
}
