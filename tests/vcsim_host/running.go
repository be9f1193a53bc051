package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// hotPlugStep is the step in which memory is added to a running machine, in MB.
const hotPlugStep = 4

// completePower refuses changes that a machine which is not off does not take, and tells how far
// memory can be added, as a vCenter does (vSphere Web Services API, ReconfigVM_Task and
// VirtualMachineConfigInfo.hotPlugMemoryLimit); the simulator takes any, and tells nothing.
func (h *host) completePower(seen *call, next http.Handler) http.Handler {
	switch seen.name {
	case "ReconfigVM_Task", "PowerOnVM_Task":
	default:
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := h.context()
		reference := types.ManagedObjectReference{Type: "VirtualMachine", Value: seen.object}
		machine, ok := own.Map.Get(reference).(*simulator.VirtualMachine)
		method, err := seen.method()
		if !ok || err != nil {
			next.ServeHTTP(w, r)
			return
		}
		var fault types.BaseMethodFault
		own.Map.WithLock(own, machine, func() {
			if seen.name == "PowerOnVM_Task" {
				makeRoom(machine)
				return
			}
			fault = refusal(machine, &method.Body.(*types.ReconfigVM_Task).Spec)
		})
		if fault != nil {
			answerWithFault(w, fault, "for it is not powered off")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// makeRoom is what a start gives a machine: memory can grow to 16 times what it has then.
func makeRoom(machine *simulator.VirtualMachine) {
	config := machine.Config
	if machine.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		return
	}
	config.HotPlugMemoryLimit, config.HotPlugMemoryIncrementSize = 0, 0
	if isTrue(config.MemoryHotAddEnabled) {
		config.HotPlugMemoryLimit = 16 * int64(config.Hardware.MemoryMB)
		config.HotPlugMemoryIncrementSize = hotPlugStep
	}
}

func refusal(machine *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	state, config := machine.Runtime.PowerState, machine.Config
	fixed := spec.NumCoresPerSocket != nil || spec.NestedHVEnabled != nil || spec.Firmware != "" ||
		spec.GuestId != "" || spec.CpuHotAddEnabled != nil || spec.MemoryHotAddEnabled != nil ||
		(spec.BootOptions != nil && spec.BootOptions.EfiSecureBootEnabled != nil)
	resources := spec.NumCPUs != 0 || spec.MemoryMB != 0 || len(spec.DeviceChange) > 0 ||
		spec.CpuAllocation != nil || spec.MemoryAllocation != nil
	switch state {
	case types.VirtualMachinePowerStatePoweredOff:
		return nil
	case types.VirtualMachinePowerStateSuspended:
		fixed = fixed || resources
	}
	if fixed {
		return &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: state,
		}
	}
	now := config.Hardware
	if spec.NumCPUs != 0 && spec.NumCPUs != now.NumCPU && (spec.NumCPUs < now.NumCPU || !isTrue(config.CpuHotAddEnabled) ||
		splitsSocket(now, spec.NumCPUs)) {
		return &types.CpuHotPlugNotSupported{}
	}
	added := spec.MemoryMB - int64(now.MemoryMB)
	if spec.MemoryMB != 0 && added != 0 && (added < 0 || !isTrue(config.MemoryHotAddEnabled) ||
		spec.MemoryMB > config.HotPlugMemoryLimit || added%hotPlugStep != 0) {
		return &types.MemoryHotPlugNotSupported{}
	}
	return nil
}

func splitsSocket(now types.VirtualHardware, processors int32) bool {
	cores := now.NumCoresPerSocket
	return cores != nil && *cores > 0 && processors%*cores != 0
}

func isTrue(flag *bool) bool {
	return flag != nil && *flag
}
