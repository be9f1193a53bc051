package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

var endOfCreation = regexp.MustCompile(`</(\w+:)?CreateVM_Task>`)

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

// chooseHost names a host with the machine's datastore where none is named, as DRS does, and has
// the creation fail where there is none. The simulator forgets the other hosts of the cluster
// meanwhile, and ends where there is none.
func (h *host) chooseHost(seen *call, next http.Handler) http.Handler {
	if seen.name != "CreateVM_Task" {
		return next
	}
	method, err := seen.method()
	if err != nil || method.Body.(*types.CreateVM_Task).Host != nil {
		return next
	}
	request := method.Body.(*types.CreateVM_Task)
	able, known := h.hostsWith(request.Pool, request.Config.Files)
	switch {
	case !known:
		return next
	case len(able) == 0:
		return h.answerWithTask(seen, func(task *simulator.Task, _ *simulator.Method) error {
			h.finish(task, nil, &types.NoCompatibleHost{})
			return nil
		})
	}
	chosen := able[rand.IntN(len(able))]
	return rewritten(seen, next, func(body []byte) []byte {
		return endOfCreation.ReplaceAll(body, fmt.Appendf(
			nil, `<host type="HostSystem">%s</host>$0`, chosen.Value))
	})
}

// hostsWith are those below a pool that have the datastore of a machine's files, if it is said.
func (h *host) hostsWith(
	in types.ManagedObjectReference, files *types.VirtualMachineFileInfo,
) (able []types.ManagedObjectReference, known bool) {
	var home object.DatastorePath
	own := h.context()
	pool, ok := own.Map.Get(in).(*simulator.ResourcePool)
	if !ok || files == nil || !home.FromString(files.VmPathName) {
		return nil, false
	}
	var hosts []types.ManagedObjectReference
	switch owner := own.Map.Get(pool.Owner).(type) {
	case *simulator.ClusterComputeResource:
		hosts = owner.Host
	case *mo.ComputeResource:
		hosts = owner.Host
	}
	for _, reference := range hosts {
		system := own.Map.Get(reference).(*simulator.HostSystem)
		if own.Map.FindByName(home.Datastore, system.Datastore) != nil {
			able = append(able, reference)
		}
	}
	return able, true
}
