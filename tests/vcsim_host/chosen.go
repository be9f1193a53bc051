package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// requireHost refuses what goes to a cluster without DRS and names no host, as a vCenter does
// (vSphere Web Services API, Folder.CreateVM_Task, ResourcePool.ImportVApp,
// VirtualMachineRelocateSpec.host); the simulator takes any.
func (h *host) requireHost(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "CreateVM_Task", "ImportVApp", "CloneVM_Task", "RelocateVM_Task":
	default:
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method, err := seen.method()
		if err == nil && h.lacksHost(method) {
			answerWithFault(w, &types.InvalidArgument{InvalidProperty: "host"}, "of a cluster without DRS")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *host) lacksHost(method *simulator.Method) bool {
	var pool, named *types.ManagedObjectReference
	switch request := method.Body.(type) {
	case *types.CreateVM_Task:
		pool, named = &request.Pool, request.Host
	case *types.ImportVApp:
		pool, named = &request.This, request.Host
	case *types.CloneVM_Task:
		pool, named = request.Spec.Location.Pool, request.Spec.Location.Host
	case *types.RelocateVM_Task:
		pool, named = request.Spec.Pool, request.Spec.Host
	}
	if pool == nil || named != nil {
		return false
	}
	own := h.context()
	in, ok := own.Map.Get(*pool).(*simulator.ResourcePool)
	if !ok {
		return false
	}
	cluster, ok := own.Map.Get(in.Owner).(*simulator.ClusterComputeResource)
	if !ok {
		return false
	}
	config, ok := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
	return ok && (config.DrsConfig.Enabled == nil || !*config.DrsConfig.Enabled)
}
