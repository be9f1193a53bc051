package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// followMoves has hosts and resource pools list the machines that were moved to them, and those
// that they were on no more: the simulator changes the machine alone, so that one that was moved
// and destroyed stayed in a list for good.
type followMoves struct{ Self types.ManagedObjectReference }

func (f *followMoves) Reference() types.ManagedObjectReference { return f.Self }

func (*followMoves) PutObject(*simulator.Context, mo.Reference) {}

func (*followMoves) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

func (*followMoves) UpdateObject(
	ctx *simulator.Context, updated mo.Reference, changes []types.PropertyChange,
) {
	machine, ok := updated.(*mo.VirtualMachine)
	if !ok {
		return
	}
	for _, change := range changes {
		switch change.Name {
		case "resourcePool":
			if machine.ResourcePool == nil {
				continue
			}
			for _, entity := range ctx.Map.All("ResourcePool") {
				if pool, ok := entity.(*simulator.ResourcePool); ok {
					list(ctx, pool, &pool.Vm, machine.Self, pool.Self == *machine.ResourcePool)
				}
			}
		case "runtime.host":
			if machine.Runtime.Host == nil {
				continue
			}
			for _, entity := range ctx.Map.All("HostSystem") {
				if system, ok := entity.(*simulator.HostSystem); ok {
					list(ctx, system, &system.Vm, machine.Self, system.Self == *machine.Runtime.Host)
				}
			}
		}
	}
}

// list has a list name a machine, or not.
func list(
	ctx *simulator.Context, owner mo.Reference, machines *[]types.ManagedObjectReference,
	machine types.ManagedObjectReference, there bool,
) {
	if there {
		ctx.Map.AddReference(ctx, owner, machines, machine)
	} else {
		ctx.Map.RemoveReference(ctx, owner, machines, machine)
	}
}
