package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

var leaseElement = regexp.MustCompile(`<returnval [^>]*type="HttpNfcLease"[^>]*>([^<]+)<`)

// completeImages has imported machines share the names of a folder with all others, those whose
// lease is aborted go, and templates belong to no resource pool, as on a vCenter.
func (h *host) completeImages(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "ImportVApp":
		return h.importNamed(seen, next)
	case "HttpNfcLeaseAbort", "HttpNfcLeaseComplete":
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			h.mutex.Lock()
			made, leased := h.leases[seen.object]
			delete(h.leases, seen.object)
			h.mutex.Unlock()
			if found := h.named(made); leased && found != nil && seen.name == "HttpNfcLeaseAbort" {
				h.invoke(&simulator.Method{
					Name: "Destroy_Task", This: *found, Body: &types.Destroy_Task{This: *found},
				})
			}
		})
	case "MarkAsTemplate", "MarkAsVirtualMachine":
		return h.leavingPool(seen, next)
	}
	return next
}

// leavingPool has a template be in no resource pool's list, where the simulator would keep it even
// when it is destroyed.
func (h *host) leavingPool(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		own := h.context()
		reference := types.ManagedObjectReference{Type: "VirtualMachine", Value: seen.object}
		machine, ok := own.Map.Get(reference).(*simulator.VirtualMachine)
		if !ok {
			return
		}
		for _, entity := range own.Map.All("ResourcePool") {
			pool := entity.(*simulator.ResourcePool)
			in := machine.ResourcePool != nil && *machine.ResourcePool == pool.Self
			list(own, pool, &pool.Vm, reference, in)
		}
	})
}

func (h *host) importNamed(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, err := seen.method()
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		request := method.Body.(*types.ImportVApp)
		spec, ok := request.Spec.(*types.VirtualMachineImportSpec)
		if !ok || request.Folder == nil {
			next.ServeHTTP(w, r)
			return
		}
		wanted := name{*request.Folder, escaping.Replace(spec.ConfigSpec.Name)}
		if other := h.reserve(wanted); other != nil {
			raised := &types.DuplicateName{Name: spec.ConfigSpec.Name, Object: *other}
			answerWithFault(w, raised, "in its folder")
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if found := leaseElement.FindSubmatch(answer.Body.Bytes()); found != nil {
			h.mutex.Lock()
			h.leases[string(found[1])] = wanted
			h.mutex.Unlock()
		}
		// Until there is a machine of the name nothing else holds it.
		for h.named(wanted) == nil && h.imports() {
			time.Sleep(time.Millisecond)
		}
		h.keep(wanted, nil)
		replay(answer, w)
	})
}

// named is the machine of a name, or nil.
func (h *host) named(wanted name) *types.ManagedObjectReference {
	own := h.context()
	folder, ok := own.Map.Get(wanted.folder).(*simulator.Folder)
	if !ok {
		return nil
	}
	var found *types.ManagedObjectReference
	own.Map.WithLock(own, folder, func() {
		if entity := own.Map.FindByName(wanted.text, folder.ChildEntity); entity != nil {
			reference := entity.Reference()
			found = &reference
		}
	})
	return found
}

// imports is whether one runs.
func (h *host) imports() bool {
	for _, entity := range h.service.Context.Map.AllReference("Task") {
		task := entity.(*simulator.Task)
		if strings.HasSuffix(task.Info.DescriptionId, "ImportVAppLRO") && !done(h, task) {
			return true
		}
	}
	return false
}
