package main

import (
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// completeHosts does what a vCenter does with hosts and the simulator does not. Source of each:
// vSphere Web Services API reference, the method of the same name.
func (h *host) completeHosts(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "AddHost_Task", "AddStandaloneHost_Task":
		return h.addHost(seen, next)
	case "MoveInto_Task", "MoveIntoFolder_Task":
		return h.moveHosts(seen, next)
	case "Destroy_Task":
		return h.destroyHost(seen, next)
	case "ReconnectHost_Task":
		return h.reconnect(seen, next)
	}
	return next
}

// addHost: a host is added once (AlreadyConnected), keeps the port of its HostConnectSpec, and is
// not logged in to if it shows another certificate than sslThumbprint (SSLVerifyFault). Hosts of the
// lab that no thumbprint is given of are taken to be signed by an authority.
func (h *host) addHost(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil {
		return next
	}
	var spec types.HostConnectSpec
	switch body := method.Body.(type) {
	case *types.AddHost_Task:
		spec = body.Spec
	case *types.AddStandaloneHost_Task:
		spec = body.Spec
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raised := h.refusal(spec); raised != nil {
			h.answerWithTask(seen, func(task *simulator.Task, _ *simulator.Method) error {
				h.finish(task, nil, raised)
				return nil
			}).ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if task := h.taskOf(answer.Body.Bytes()); task != nil {
			task.Wait()
			if reference, ok := task.Info.Result.(types.ManagedObjectReference); ok {
				h.setPort(reference, spec.Port)
			}
		}
		replay(answer, w)
	})
}

func (h *host) refusal(spec types.HostConnectSpec) types.BaseMethodFault {
	for _, entity := range h.context().Map.All("HostSystem") {
		if entity.(*simulator.HostSystem).Name == spec.HostName {
			return &types.AlreadyConnected{Name: spec.HostName}
		}
	}
	if found := shown(spec); found != spec.SslThumbprint {
		return &types.SSLVerifyFault{SelfSigned: true, Thumbprint: found}
	}
	return nil
}

// shown is the thumbprint of the certificate at the address, where one is expected.
func shown(spec types.HostConnectSpec) string {
	if spec.SslThumbprint == "" {
		return ""
	}
	address := net.JoinHostPort(spec.HostName, fmt.Sprint(spec.Port))
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer connection.Close()
	digest := sha1.Sum(connection.ConnectionState().PeerCertificates[0].Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", digest), " ", ":")
}

func (h *host) setPort(reference types.ManagedObjectReference, port int32) {
	own := h.context()
	if system, ok := own.Map.Get(reference).(*simulator.HostSystem); ok && port != 0 {
		own.Map.WithLock(own, system, func() { system.Summary.Config.Port = port })
	}
}

// reconnect: HostSystem.ReconnectHost_Task takes the port of its HostConnectSpec.
func (h *host) reconnect(seen *call, next http.Handler) http.Handler {
	if method, err := seen.method(); err == nil {
		if spec := method.Body.(*types.ReconnectHost_Task).CnxSpec; spec != nil {
			h.setPort(method.This, spec.Port)
		}
	}
	return next
}

// moveHosts: ClusterComputeResource.MoveInto_Task takes hosts of other clusters, which have to be in
// maintenance (InvalidState), and standalone ones; Folder.MoveIntoFolder_Task takes such hosts of
// clusters, which become standalone.
func (h *host) moveHosts(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil {
		return next
	}
	var list []types.ManagedObjectReference
	switch body := method.Body.(type) {
	case *types.MoveInto_Task:
		list = body.Host
	case *types.MoveIntoFolder_Task:
		list = body.List
	}
	if slices.ContainsFunc(list, func(each types.ManagedObjectReference) bool {
		return each.Type != "HostSystem"
	}) {
		return next
	}
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		own := h.context()
		for _, reference := range list {
			system := own.Map.Get(reference).(*simulator.HostSystem)
			if raised := h.detach(own, system); raised != nil {
				h.finish(task, nil, raised)
				return nil
			}
			h.attach(own, system, own.Map.Get(method.This))
		}
		h.finish(task, nil, nil)
		return nil
	})
}

// detach takes a host out of its cluster, or removes what only a standalone host has.
func (h *host) detach(
	own *simulator.Context, system *simulator.HostSystem,
) types.BaseMethodFault {
	switch parent := own.Map.Get(*system.Parent).(type) {
	case *simulator.ClusterComputeResource:
		if !system.Runtime.InMaintenanceMode {
			return new(types.InvalidState)
		}
		own.Map.WithLock(own, parent, func() {
			own.Map.RemoveReference(own, parent, &parent.Host, system.Self)
		})
		browser := own.Map.Get(*parent.EnvironmentBrowser).(*simulator.EnvironmentBrowser)
		own.Map.WithLock(own, browser, func() {
			descriptors := browser.QueryConfigOptionDescriptorResponse.Returnval
			for i := range descriptors {
				simulator.RemoveReference(&descriptors[i].Host, system.Self)
			}
		})
	case *mo.ComputeResource:
		h.removePool(own, *parent.ResourcePool)
		h.takeOut(own, parent)
		own.Map.Remove(own, parent.Self)
	}
	return nil
}

func (h *host) attach(own *simulator.Context, system *simulator.HostSystem, to mo.Reference) {
	switch above := to.(type) {
	case *simulator.ClusterComputeResource:
		own.Map.WithLock(own, above, func() {
			own.Map.AddReference(own, above, &above.Host, system.Self)
		})
		system.Parent = &above.Self
	case *simulator.Folder:
		pool := simulator.NewResourcePool(own)
		browser := own.Map.Put(new(simulator.EnvironmentBrowser)).Reference()
		compute := &mo.ComputeResource{
			Summary: new(types.ComputeResourceSummary),
			ConfigurationEx: &types.ComputeResourceConfigInfo{
				VmSwapPlacement: string(types.VirtualMachineConfigInfoSwapPlacementTypeVmDirectory),
			},
			Network: system.Network,
			Host:    []types.ManagedObjectReference{system.Self},
		}
		compute.Name, compute.EnvironmentBrowser = system.Name, &browser
		own.Map.PutEntity(above, own.Map.NewEntity(compute))
		own.Map.PutEntity(compute, own.Map.NewEntity(pool))
		pool.Owner = compute.Self
		compute.ResourcePool = &pool.Self
		system.Parent = &compute.Self
		own.Map.WithLock(own, above, func() {
			own.Map.AddReference(own, above, &above.ChildEntity, compute.Self)
		})
	}
}

// machinesOn are the machines on a host: those of extensions (VirtualMachineConfigInfo.managedBy),
// and all others.
func machinesOn(
	own *simulator.Context, system *simulator.HostSystem,
) (agents, others []*simulator.VirtualMachine) {
	for _, reference := range system.Vm {
		machine, ok := own.Map.Get(reference).(*simulator.VirtualMachine)
		switch {
		case !ok:
		case machine.Config.ManagedBy != nil:
			agents = append(agents, machine)
		default:
			others = append(others, machine)
		}
	}
	return agents, others
}

// destroyHost: ManagedEntity.Destroy_Task of a host of a cluster, which has to be in maintenance or
// disconnected, and of a standalone one, by its ComputeResource. Machines of extensions go with it.
func (h *host) destroyHost(seen *call, next http.Handler) http.Handler {
	method, err := seen.method()
	if err != nil {
		return next
	}
	own := h.context()
	var system *simulator.HostSystem
	switch found := own.Map.Get(method.This).(type) {
	case *simulator.HostSystem:
		system = found
	case *mo.ComputeResource:
		system = own.Map.Get(found.Host[0]).(*simulator.HostSystem)
	default:
		return next
	}
	return h.answerWithTask(seen, func(task *simulator.Task, _ *simulator.Method) error {
		var raised types.BaseMethodFault
		agents, others := machinesOn(own, system)
		switch {
		case len(others) > 0:
			raised = &types.ResourceInUse{Name: system.Name}
		case system.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
			system.Runtime.InMaintenanceMode = true
			fallthrough
		default:
			raised = h.detach(own, system)
		}
		if raised == nil {
			for _, agent := range agents {
				h.takeOut(own, agent)
				own.Map.Remove(own, agent.Self)
			}
			own.Map.Remove(own, system.Self)
		}
		h.finish(task, nil, raised)
		return nil
	})
}
