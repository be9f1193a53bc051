package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type inventory struct {
	esx        bool
	apiVersion string
	machines   int
	vpx        simulator.Model
}

func (i *inventory) flags() {
	i.vpx = *simulator.VPX()
	flag.BoolVar(&i.esx, "esx", false, "one ESXi host instead of a vCenter")
	flag.StringVar(&i.apiVersion, "api-version", "8.0.3.0", "in four parts, as pyvmomi knows them")
	flag.IntVar(&i.machines, "machines", 4, "in all, spread over the resource pools")
	flag.IntVar(&i.vpx.Datastore, "datastores", 1, "in every datacenter")
	flag.IntVar(&i.vpx.Datacenter, "datacenters", 1, "")
	flag.IntVar(&i.vpx.Cluster, "clusters", 1, "in every datacenter")
	flag.IntVar(&i.vpx.ClusterHost, "cluster-hosts", 3, "in every cluster")
	flag.IntVar(&i.vpx.Host, "hosts", 1, "standalone, in every datacenter")
	flag.IntVar(&i.vpx.Pool, "pools", 0, "below the root pool of every cluster")
	flag.IntVar(&i.vpx.Portgroup, "portgroups", 1, "distributed, in every datacenter")
	flag.IntVar(&i.vpx.Pod, "pods", 0, "datastore clusters in every datacenter")
}

// create makes the inventory. The model is returned with an error too: its folder has to be removed.
func (i *inventory) create() (*simulator.Model, error) {
	model := &i.vpx
	if i.esx {
		model = simulator.ESX()
		model.Datastore = i.vpx.Datastore
	}
	// Model makes machines one after another and waits 20 ms for every task.
	model.Machine = 0
	about := &model.ServiceContent.About
	release := i.apiVersion[:strings.LastIndex(i.apiVersion, ".")]
	about.FullName = strings.Replace(about.FullName, about.Version, release, 1)
	about.ApiVersion, about.Version = i.apiVersion, release
	if !i.esx {
		// By itself all vCenters of one machine are the same one.
		about.InstanceUuid = uuid.New().String()
	}
	esx.HardwareVersion = hardwareVersion(release)
	if err := model.Create(); err != nil {
		return model, err
	}
	registry := model.Map()
	registry.AddHandler(&completeRuntime{types.ManagedObjectReference{Type: "Completion", Value: "runtime"}})
	registry.AddHandler(&followMoves{types.ManagedObjectReference{Type: "Completion", Value: "moves"}})
	completeNetworks(registry)
	return model, addMachines(model.Service.Context, i.machines)
}

// completeRuntime fills what the simulator leaves unset in a new machine and pyvmomi demands.
type completeRuntime struct{ Self types.ManagedObjectReference }

func (c *completeRuntime) Reference() types.ManagedObjectReference { return c.Self }

func (*completeRuntime) PutObject(_ *simulator.Context, put mo.Reference) {
	machine, ok := put.(*simulator.VirtualMachine)
	if !ok {
		return
	}
	for _, runtime := range []*types.VirtualMachineRuntimeInfo{&machine.Runtime, &machine.Summary.Runtime} {
		runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
		runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	}
}

func (*completeRuntime) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {}

func (*completeRuntime) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

// place is where machines can be: a resource pool without pools below it.
type place struct {
	prefix string
	pool   types.ManagedObjectReference
	hosts  []types.ManagedObjectReference
	folder *simulator.Folder
	nic    types.BaseVirtualDeviceBackingInfo
}

// addMachines makes running machines in all places alike. Their names are those that Model gives.
func addMachines(ctx *simulator.Context, count int) error {
	found := places(ctx.Map)
	created := make([]types.ManagedObjectReference, 0, count)
	for n := range count {
		in, nth := found[n%len(found)], n/len(found)
		request := in.request(fmt.Sprintf("%s_VM%d", in.prefix, nth))
		request.Host = &in.hosts[nth%len(in.hosts)]
		created = append(created, start(ctx, in.folder, func(own *simulator.Context) soap.HasFault {
			return in.folder.CreateVMTask(own, request)
		}))
	}
	powered := make([]types.ManagedObjectReference, 0, count)
	for _, task := range created {
		reference, err := result(ctx.Map, task)
		if err != nil {
			return err
		}
		machine := ctx.Map.Get(reference.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
		powered = append(powered, start(ctx, machine, func(own *simulator.Context) soap.HasFault {
			return machine.PowerOnVMTask(own, &types.PowerOnVM_Task{This: machine.Self})
		}))
	}
	for _, task := range powered {
		if _, err := result(ctx.Map, task); err != nil {
			return err
		}
	}
	return nil
}

// start calls a method in this process, with a context of its own: locks belong to contexts.
func start(
	ctx *simulator.Context, object mo.Reference, call func(*simulator.Context) soap.HasFault,
) types.ManagedObjectReference {
	own := *ctx
	var body soap.HasFault
	ctx.Map.WithLock(&own, object, func() { body = call(&own) })
	switch answer := body.(type) {
	case *methods.CreateVM_TaskBody:
		return answer.Res.Returnval
	case *methods.PowerOnVM_TaskBody:
		return answer.Res.Returnval
	}
	panic(fmt.Sprintf("%T is not expected", body))
}

func result(registry *simulator.Registry, reference types.ManagedObjectReference) (any, error) {
	task := registry.Get(reference).(*simulator.Task)
	task.Wait()
	if task.Info.Error != nil {
		return nil, fmt.Errorf("%s: %T", task.Info.DescriptionId, task.Info.Error.Fault)
	}
	return task.Info.Result, nil
}

func places(registry *simulator.Registry) []place {
	var found []place
	for _, entity := range registry.All("ResourcePool") {
		pool := entity.(*simulator.ResourcePool)
		if len(pool.ResourcePool.ResourcePool) > 0 {
			continue
		}
		in := place{pool: pool.Self}
		owner := registry.Get(pool.Owner).(mo.Entity)
		switch compute := owner.(type) {
		case *mo.ComputeResource:
			in.hosts, in.prefix = compute.Host, compute.Name
			if registry.IsESX() {
				in.prefix = compute.Host[0].Value
			}
		case *simulator.ClusterComputeResource:
			in.hosts, in.prefix = compute.Host, compute.Name+"_RP0"
			if pool.Parent.Type == "ResourcePool" {
				in.prefix = pool.Name
			}
		}
		datacenter := ancestor(registry, owner, "Datacenter").(*simulator.Datacenter)
		in.folder = registry.Get(datacenter.VmFolder).(*simulator.Folder)
		in.nic = backing(registry, datacenter)
		found = append(found, in)
	}
	slices.SortFunc(found, func(a, b place) int { return strings.Compare(a.prefix, b.prefix) })
	return found
}

func ancestor(registry *simulator.Registry, entity mo.Entity, kind string) mo.Entity {
	for entity.Reference().Type != kind {
		entity = registry.Get(*entity.Entity().Parent).(mo.Entity)
	}
	return entity
}

// backing is the datacenter's first distributed port group, or without one the network that every
// host has.
func backing(
	registry *simulator.Registry, datacenter *simulator.Datacenter,
) types.BaseVirtualDeviceBackingInfo {
	for _, reference := range datacenter.Network {
		group, ok := registry.Get(reference).(*simulator.DistributedVirtualPortgroup)
		if !ok || strings.Contains(group.Name, "DVUplinks") {
			continue
		}
		dvs := registry.Get(*group.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
			Port: types.DistributedVirtualSwitchPortConnection{
				PortgroupKey: group.Key, SwitchUuid: dvs.Uuid,
			},
		}
	}
	return esx.EthernetCard.Backing
}

func (in *place) request(name string) *types.CreateVM_Task {
	var devices object.VirtualDeviceList
	scsi, _ := devices.CreateSCSIController("pvscsi")
	scsi.(types.BaseVirtualSCSIController).GetVirtualSCSIController().SharedBus =
		types.VirtualSCSISharingNoSharing
	ide, _ := devices.CreateIDEController()
	cdrom, _ := devices.CreateCdrom(ide.(*types.VirtualIDEController))
	disk := devices.CreateDisk(
		scsi.(types.BaseVirtualController),
		types.ManagedObjectReference{},
		fmt.Sprintf("[LocalDS_0] %s/disk1.vmdk", name),
	)
	disk.CapacityInKB = 10 << 20
	disk.CapacityInBytes = 10 << 30
	disk.StorageIOAllocation = &types.StorageIOAllocationInfo{Limit: types.NewInt64(-1)}
	nic := esx.EthernetCard
	nic.Backing = in.nic
	devices = append(devices, scsi, ide, cdrom, disk, &nic)
	changes, _ := devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	return &types.CreateVM_Task{
		This: in.folder.Self,
		Pool: in.pool,
		Config: types.VirtualMachineConfigSpec{
			Name:         name,
			GuestId:      string(types.VirtualMachineGuestOsIdentifierOtherGuest),
			Files:        &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
			DeviceChange: changes,
		},
	}
}

// hardwareVersion is what a machine gets that asks for none. Source: Broadcom KB 315655.
func hardwareVersion(release string) string {
	switch {
	case release >= "8.0.2":
		return "vmx-21"
	case release >= "8.0":
		return "vmx-20"
	}
	return "vmx-19"
}
