package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// evcModes are those that the hosts of the lab can show (ClusterEVCManagerEVCState.supportedEVCMode).
var evcModes = []string{"intel-merom", "intel-nehalem", "intel-haswell", "intel-broadwell"}

// knowEvcModes fills ServiceInstance.capability.supportedEVCMode, which the simulator leaves empty.
func knowEvcModes(service *simulator.Service) {
	instance := service.Context.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance)
	for _, key := range evcModes {
		instance.Capability.SupportedEVCMode = append(instance.Capability.SupportedEVCMode, types.EVCMode{
			ElementDescription: types.ElementDescription{
				Description: types.Description{Label: key, Summary: key}, Key: key,
			},
			Vendor: "intel",
		})
	}
}

var clusterElement = regexp.MustCompile(
	`<returnval [^>]*type="ClusterComputeResource"[^>]*>([^<]+)<`)

// building are calls in the middle of which the simulator's inventory is not whole.
var building = regexp.MustCompile(
	`^(Create(ClusterEx|Datacenter|Folder|ResourcePool)|MoveInto.*|Add(.*Host_Task|CustomFieldDef)|Destroy_Task|` +
		`Create\w+Datastore|RemoveDatastore)$`)

// inTurn has nobody read the inventory while one of these calls is carried out: to a vCenter's
// clients a new object is there with all that it has, or not at all.
func (h *host) inTurn(seen *call, next http.Handler) http.Handler {
	var lock sync.Locker
	switch {
	case building.MatchString(seen.name):
		lock = &h.whole
	case strings.Contains(seen.name, "RetrieveProperties"), seen.name == "Fetch":
		lock = h.whole.RLocker()
	default:
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		next.ServeHTTP(w, r)
	})
}

// completeHierarchy does what a vCenter does with clusters and pools of resources and the simulator
// does not. Source of each: vSphere Web Services API reference, the method of the same name.
func (h *host) completeHierarchy(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "CreateDatacenter":
		return h.refuseDuplicateDatacenter(seen, next)
	case "MoveIntoFolder_Task":
		return h.moveClusters(seen, next)
	case "Destroy_Task":
		return h.destroyCluster(seen, next)
	case "CreateClusterEx":
		return h.configureNewCluster(seen, next)
	case "ReconfigureComputeResource_Task":
		return h.configureCluster(seen, next)
	case "EvcManager":
		return h.evcManager(seen)
	case "ConfigureEvcMode_Task", "DisableEvcMode_Task":
		return h.setEvcMode(seen)
	case "MoveIntoResourcePool":
		return h.moveIntoPool(seen)
	case "UpdateConfig":
		return h.expandPool(seen, next)
	}
	return next
}

// refuseDuplicateDatacenter: Folder.CreateDatacenter raises DuplicateName; the simulator makes a
// second one.
func (h *host) refuseDuplicateDatacenter(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method, err := seen.method(); err == nil {
			own, name := h.context(), method.Body.(*types.CreateDatacenter).Name
			if folder, ok := own.Map.Get(method.This).(*simulator.Folder); ok {
				if other := own.Map.FindByName(name, folder.ChildEntity); other != nil {
					raised := &types.DuplicateName{Name: name, Object: other.Reference()}
					answerWithFault(w, raised, "as a datacenter has the name")
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// moveClusters: Folder.MoveIntoFolder_Task takes clusters, too, where a folder's childType has
// ComputeResource, and not into another datacenter.
func (h *host) moveClusters(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil {
		return next
	}
	list := method.Body.(*types.MoveIntoFolder_Task).List
	if slices.ContainsFunc(list, func(each types.ManagedObjectReference) bool {
		return each.Type != "ClusterComputeResource"
	}) {
		return next
	}
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		own := h.context()
		folder, ok := own.Map.Get(method.This).(*simulator.Folder)
		if !ok || !slices.Contains(folder.ChildType, "ComputeResource") {
			h.finish(task, nil, new(types.NotSupported))
			return nil
		}
		for _, reference := range list {
			cluster := own.Map.Get(reference).(*simulator.ClusterComputeResource)
			if ancestor(own.Map, cluster, "Datacenter") != ancestor(own.Map, folder, "Datacenter") {
				h.finish(task, nil, &types.InvalidArgument{InvalidProperty: "list"})
				return nil
			}
			own.Map.WithLock(own, folder, func() {
				h.takeOut(own, cluster)
				own.Map.AddReference(own, folder, &folder.ChildEntity, reference)
				own.Update(cluster, []types.PropertyChange{{Name: "parent", Val: folder.Self}})
			})
		}
		h.finish(task, nil, nil)
		return nil
	})
}

// destroyCluster: ManagedEntity.Destroy_Task of a cluster takes its pools and hosts along, and is
// refused while there are machines on those (ResourceInUse).
func (h *host) destroyCluster(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil || method.This.Type != "ClusterComputeResource" {
		return next
	}
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		own := h.context()
		cluster := own.Map.Get(method.This).(*simulator.ClusterComputeResource)
		for _, reference := range cluster.Host {
			if len(own.Map.Get(reference).(*simulator.HostSystem).Vm) > 0 {
				h.finish(task, nil, &types.ResourceInUse{Name: cluster.Name})
				return nil
			}
		}
		for _, reference := range cluster.Host {
			own.Map.Remove(own, reference)
		}
		h.removePool(own, *cluster.ResourcePool)
		h.takeOut(own, cluster)
		own.Map.Remove(own, cluster.Self)
		h.finish(task, nil, nil)
		return nil
	})
}

func (h *host) removePool(own *simulator.Context, reference types.ManagedObjectReference) {
	if pool, ok := own.Map.Get(reference).(*simulator.ResourcePool); ok {
		for _, below := range pool.ResourcePool.ResourcePool {
			h.removePool(own, below)
		}
	}
	own.Map.Remove(own, reference)
}

// configureNewCluster: Folder.CreateClusterEx sets what its spec says, and DRS and HA are off where
// it says nothing; the simulator has DRS on, and drops the rest.
func (h *host) configureNewCluster(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if found := clusterElement.FindSubmatch(answer.Body.Bytes()); found != nil {
			reference := types.ManagedObjectReference{
				Type: "ClusterComputeResource", Value: string(found[1]),
			}
			spec := method.Body.(*types.CreateClusterEx).Spec
			h.withConfig(reference, func(config *types.ClusterConfigInfoEx) {
				config.DrsConfig.Enabled = types.NewBool(false)
				config.DasConfig.Enabled = types.NewBool(false)
				apply(config, &spec)
			})
		}
		replay(answer, w)
	})
}

// configureCluster: ComputeResource.ReconfigureComputeResource_Task sets all that the spec says of
// DRS and HA; the simulator takes of each but two fields.
func (h *host) configureCluster(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method, err := seen.method(); err == nil {
			given := method.Body.(*types.ReconfigureComputeResource_Task).Spec
			if spec, ok := given.(*types.ClusterConfigSpecEx); ok {
				h.withConfig(method.This, func(config *types.ClusterConfigInfoEx) {
					apply(config, spec)
				})
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (h *host) withConfig(
	reference types.ManagedObjectReference, use func(*types.ClusterConfigInfoEx),
) {
	own := h.context()
	if cluster, ok := own.Map.Get(reference).(*simulator.ClusterComputeResource); ok {
		own.Map.WithLock(own, cluster, func() {
			use(cluster.ConfigurationEx.(*types.ClusterConfigInfoEx))
		})
	}
}

func apply(config *types.ClusterConfigInfoEx, spec *types.ClusterConfigSpecEx) {
	if spec.DrsConfig != nil {
		overlay(&config.DrsConfig, spec.DrsConfig)
	}
	if spec.DasConfig != nil {
		overlay(&config.DasConfig, spec.DasConfig)
	}
}

// overlay sets the fields of a structure that another one of its type has set.
func overlay[T any](on, given *T) {
	to, from := reflect.ValueOf(on).Elem(), reflect.ValueOf(given).Elem()
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// evcManager: ClusterComputeResource.EvcManager, whose id is made of the cluster's.
func (h *host) evcManager(seen *call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope, fmt.Sprintf(
			`<EvcManagerResponse xmlns="urn:vim25">`+
				`<returnval type="ClusterEVCManager">evc-%s</returnval></EvcManagerResponse>`,
			seen.object))
	})
}

// setEvcMode: ClusterEVCManager.ConfigureEvcMode_Task and DisableEvcMode_Task, seen in the cluster's
// summary.currentEVCModeKey.
func (h *host) setEvcMode(seen *call) http.Handler {
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		mode := ""
		if asked, ok := method.Body.(*types.ConfigureEvcMode_Task); ok {
			mode = asked.EvcModeKey
			if !slices.Contains(evcModes, mode) {
				h.finish(task, nil, &types.InvalidArgument{InvalidProperty: "evcModeKey"})
				return nil
			}
		}
		own := h.context()
		cluster := own.Map.Get(types.ManagedObjectReference{
			Type: "ClusterComputeResource", Value: strings.TrimPrefix(method.This.Value, "evc-"),
		}).(*simulator.ClusterComputeResource)
		own.Map.WithLock(own, cluster, func() {
			cluster.Summary.(*types.ClusterComputeResourceSummary).CurrentEVCModeKey = mode
		})
		h.finish(task, nil, nil)
		return nil
	})
}

// moveIntoPool: ResourcePool.MoveIntoResourcePool of pools, within one cluster or host.
func (h *host) moveIntoPool(seen *call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		method, err := seen.method()
		if err != nil {
			panic(err)
		}
		own := h.context()
		into := own.Map.Get(method.This).(*simulator.ResourcePool)
		for _, reference := range method.Body.(*types.MoveIntoResourcePool).List {
			pool, ok := own.Map.Get(reference).(*simulator.ResourcePool)
			if !ok || pool.Owner != into.Owner {
				raised := &types.InvalidArgument{InvalidProperty: "list"}
				answerWithFault(w, raised, "as it is no pool of the same cluster")
				return
			}
			if named := own.Map.FindByName(pool.Name, into.ResourcePool.ResourcePool); named != nil {
				raised := &types.DuplicateName{Name: pool.Name, Object: named.Reference()}
				answerWithFault(w, raised, "as a pool has the name")
				return
			}
			from := own.Map.Get(*pool.Parent).(*simulator.ResourcePool)
			own.Map.WithLock(own, from, func() {
				own.Map.RemoveReference(own, from, &from.ResourcePool.ResourcePool, reference)
			})
			own.Map.WithLock(own, into, func() {
				own.Map.AddReference(own, into, &into.ResourcePool.ResourcePool, reference)
			})
			own.Map.AtomicUpdate(
				own, pool, []types.PropertyChange{{Name: "parent", Val: into.Self}})
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		fmt.Fprintf(w, envelope,
			`<MoveIntoResourcePoolResponse xmlns="urn:vim25"></MoveIntoResourcePoolResponse>`)
	})
}

// expandPool: ResourcePool.UpdateConfig sets expandableReservation, too, which the simulator drops.
func (h *host) expandPool(seen *call, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		method, err := seen.method()
		if err == nil && answer.Code == http.StatusOK && !bytes.Contains(answer.Body.Bytes(), []byte("Fault>")) {
			own := h.context()
			pool, ok := own.Map.Get(method.This).(*simulator.ResourcePool)
			if config := method.Body.(*types.UpdateConfig).Config; ok && config != nil {
				own.Map.WithLock(own, pool, func() {
					for _, each := range []struct{ to, from *types.ResourceAllocationInfo }{
						{&pool.Config.CpuAllocation, &config.CpuAllocation},
						{&pool.Config.MemoryAllocation, &config.MemoryAllocation},
					} {
						if each.from.ExpandableReservation != nil {
							each.to.ExpandableReservation = each.from.ExpandableReservation
						}
					}
				})
			}
		}
		replay(answer, w)
	})
}
