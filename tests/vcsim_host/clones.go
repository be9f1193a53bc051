package main

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// completeClones has CloneVM_Task do what a vCenter does and the simulator does not (vSphere Web
// Services API, VirtualMachine.CloneVM_Task, VirtualMachineCloneSpec, VirtualMachineRelocateSpec).
func (h *host) completeClones(seen *call, next http.Handler) http.Handler {
	if seen.name != "CloneVM_Task" || seen.user == "" {
		return next
	}
	return h.answerWithTask(seen, func(task *simulator.Task, method *simulator.Method) error {
		go func() {
			result, raised := h.invoke(method)
			h.finish(task, result, raised)
		}()
		return nil
	})
}

// clone makes a copy that has all of the template's configuration with all of the specification's
// over it, on a host of the pool that it goes to; or none, if any of it is refused.
func (h *host) clone(method *simulator.Method) (any, types.BaseMethodFault) {
	request := *method.Body.(*types.CloneVM_Task)
	own := h.context()
	template, ok := own.Map.Get(method.This).(*simulator.VirtualMachine)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: method.This}
	}
	config := h.copied(template, request.Spec.Config)
	customization := request.Spec.Customization
	request.Spec.Customization = nil
	request.Spec.Config = &types.VirtualMachineConfigSpec{
		Uuid: config.Uuid, InstanceUuid: config.InstanceUuid, ExtraConfig: config.ExtraConfig,
	}
	config.Uuid, config.InstanceUuid, config.ExtraConfig = "", "", nil
	if location := &request.Spec.Location; location.Host == nil && location.Pool != nil {
		location.Host = h.hostFor(template, *location.Pool)
	}
	plain := *method
	plain.Body = &request
	result, raised := h.carriedOut(&plain)
	if raised != nil {
		return nil, raised
	}
	made := result.(types.ManagedObjectReference)
	h.finishDevices(template, made, request.Spec.Location.DiskMoveType == string(
		types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking))
	_, raised = h.carriedOut(&simulator.Method{
		Name: "ReconfigVM_Task", This: made,
		Body: &types.ReconfigVM_Task{This: made, Spec: *config},
	})
	if raised == nil && customization != nil {
		_, raised = h.carriedOut(&simulator.Method{
			Name: "CustomizeVM_Task", This: made,
			Body: &types.CustomizeVM_Task{This: made, Spec: *customization},
		})
	}
	if raised != nil {
		_, _ = h.carriedOut(&simulator.Method{
			Name: "Destroy_Task", This: made, Body: &types.Destroy_Task{This: made},
		})
		return nil, raised
	}
	return result, nil
}

// copied is what the simulator leaves out of a template's configuration, with changes over it.
func (h *host) copied(
	template *simulator.VirtualMachine, changes *types.VirtualMachineConfigSpec,
) *types.VirtualMachineConfigSpec {
	config := types.VirtualMachineConfigSpec{}
	if changes != nil {
		config = *changes
	}
	own := h.context()
	own.Map.WithLock(own, template, func() {
		is := template.Config
		orElse(&config.Annotation, is.Annotation)
		orElse(&config.GuestId, is.GuestId)
		orElse(&config.Firmware, is.Firmware)
		orElse(&config.BootOptions, is.BootOptions)
		orElse(&config.CpuHotAddEnabled, is.CpuHotAddEnabled)
		orElse(&config.MemoryHotAddEnabled, is.MemoryHotAddEnabled)
		orElse(&config.NestedHVEnabled, is.NestedHVEnabled)
		orElse(&config.CpuAllocation, is.CpuAllocation)
		orElse(&config.MemoryAllocation, is.MemoryAllocation)
		for _, option := range is.ExtraConfig {
			key := option.GetOptionValue().Key
			if !slices.ContainsFunc(config.ExtraConfig, func(other types.BaseOptionValue) bool {
				return other.GetOptionValue().Key == key
			}) {
				config.ExtraConfig = append(config.ExtraConfig, option)
			}
		}
	})
	return &config
}

func orElse[T comparable](wanted *T, otherwise T) {
	var unset T
	if *wanted == unset {
		*wanted = otherwise
	}
}

// hostFor is a host that has the pool: the template's, or the first one.
func (h *host) hostFor(
	template *simulator.VirtualMachine, pool types.ManagedObjectReference,
) *types.ManagedObjectReference {
	own := h.context()
	in, ok := own.Map.Get(pool).(*simulator.ResourcePool)
	if !ok {
		return nil
	}
	var hosts []types.ManagedObjectReference
	switch compute := own.Map.Get(in.Owner).(type) {
	case *mo.ComputeResource:
		hosts = compute.Host
	case *simulator.ClusterComputeResource:
		hosts = compute.Host
	}
	if len(hosts) == 0 || slices.Contains(hosts, *template.Runtime.Host) {
		return template.Runtime.Host
	}
	return &hosts[0]
}

// finishDevices gives the cards of a copy addresses of their own and, where it is a linked one, lays
// its disks over those of its template.
func (h *host) finishDevices(
	template *simulator.VirtualMachine, made types.ManagedObjectReference, linked bool,
) {
	own := h.context()
	machine := own.Map.Get(made).(*simulator.VirtualMachine)
	below := map[int32]*types.VirtualDiskFlatVer2BackingInfo{}
	own.Map.WithLock(own, template, func() {
		for _, device := range template.Config.Hardware.Device {
			if disk, ok := device.(*types.VirtualDisk); ok {
				backing := *disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
				below[disk.Key] = &backing
			}
		}
	})
	own.Map.WithLock(own, machine, func() {
		for _, device := range machine.Config.Hardware.Device {
			switch device := device.(type) {
			case types.BaseVirtualEthernetCard:
				card := device.GetVirtualEthernetCard()
				if card.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
					given := h.addresses.Add(1)
					card.MacAddress = fmt.Sprintf(
						"00:50:56:80:%02x:%02x", given>>8&0xff, given&0xff)
				}
			case *types.VirtualDisk:
				if linked {
					device.Backing.(*types.VirtualDiskFlatVer2BackingInfo).Parent = below[device.Key]
				}
			}
		}
	})
}
