package main

import (
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// networkSystem is a host's HostNetworkSystem with what the simulator lacks of it (vSphere Web
// Services API reference): a port group of one name on several hosts is one Network, what was
// configured is seen in config.network of the host, switches keep what they were made with, both can
// be updated, and a port group that a running machine of the host uses is not removed.
type networkSystem struct{ simulator.HostNetworkSystem }

func completeNetworks(registry *simulator.Registry) {
	registry.AddHandler(&newHosts{types.ManagedObjectReference{Type: "Completion", Value: "network"}})
	for _, entity := range registry.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		completeHost(registry, host)
		for _, group := range host.Config.Network.Portgroup {
			if network := networkOf(registry, &host.HostSystem, group.Spec.Name); network != nil {
				network.Host = append(network.Host, host.Self)
			}
		}
	}
	registry.Handler = func(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
		return nil, distributed(ctx.Map, method)
	}
}

func completeHost(registry *simulator.Registry, host *simulator.HostSystem) {
	if host.ConfigManager.NetworkSystem == nil {
		return
	}
	given, ok := registry.Get(*host.ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem)
	if !ok {
		return
	}
	own := &networkSystem{*given}
	own.NetworkInfo = host.Config.Network
	registry.Put(own)
}

type newHosts struct{ Self types.ManagedObjectReference }

func (n *newHosts) Reference() types.ManagedObjectReference { return n.Self }

func (*newHosts) PutObject(ctx *simulator.Context, put mo.Reference) {
	if host, ok := put.(*simulator.HostSystem); ok {
		completeHost(ctx.Map, host)
	}
}

func (*newHosts) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {}

func (*newHosts) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}

func (s *networkSystem) AddVirtualSwitch(req *types.AddVirtualSwitch) soap.HasFault {
	body := s.HostNetworkSystem.AddVirtualSwitch(req)
	if body.Fault() == nil {
		made := s.vswitch(req.VswitchName)
		made.Key = "key-vim.host.VirtualSwitch-" + req.VswitchName
		s.configure(made, req.Spec)
	}
	return body
}

func (s *networkSystem) UpdateVirtualSwitch(req *types.UpdateVirtualSwitch) soap.HasFault {
	body := &methods.UpdateVirtualSwitchBody{}
	found := s.vswitch(req.VswitchName)
	if found == nil {
		body.Fault_ = simulator.Fault("", &types.NotFound{})
		return body
	}
	s.configure(found, &req.Spec)
	body.Res = &types.UpdateVirtualSwitchResponse{}
	return body
}

func (s *networkSystem) RemoveVirtualSwitch(req *types.RemoveVirtualSwitch) soap.HasFault {
	if found := s.vswitch(req.VswitchName); found != nil && len(found.Portgroup) > 0 {
		return &methods.RemoveVirtualSwitchBody{
			Fault_: simulator.Fault("", &types.ResourceInUse{Type: "vswitch", Name: req.VswitchName}),
		}
	}
	return s.HostNetworkSystem.RemoveVirtualSwitch(req)
}

func (s *networkSystem) AddPortGroup(ctx *simulator.Context, req *types.AddPortGroup) soap.HasFault {
	body := &methods.AddPortGroupBody{}
	name, vswitch := req.Portgrp.Name, s.vswitch(req.Portgrp.VswitchName)
	if vswitch != nil && s.group(name) != nil {
		body.Fault_ = simulator.Fault("", &types.AlreadyExists{Name: name})
		return body
	}
	network := networkOf(ctx.Map, s.Host, name)
	if vswitch == nil || network == nil {
		if body := s.HostNetworkSystem.AddPortGroup(ctx, req); body.Fault() != nil {
			return body
		}
		network = networkOf(ctx.Map, s.Host, name)
		vswitch.Portgroup = vswitch.Portgroup[:len(vswitch.Portgroup)-1]
		s.NetworkInfo.Portgroup = s.NetworkInfo.Portgroup[:len(s.NetworkInfo.Portgroup)-1]
	}
	key := "key-vim.host.PortGroup-" + name
	vswitch.Portgroup = append(vswitch.Portgroup, key)
	s.NetworkInfo.Portgroup = append(s.NetworkInfo.Portgroup, types.HostPortGroup{
		Key: key, Vswitch: vswitch.Key, Spec: req.Portgrp,
		ComputedPolicy: computed(&req.Portgrp.Policy, vswitch.Spec.Policy),
	})
	ctx.Map.AppendReference(ctx, network, &network.Host, s.Host.Self)
	ctx.Map.AppendReference(ctx, s.Host, &s.Host.Network, network.Self)
	body.Res = &types.AddPortGroupResponse{}
	return body
}

func (s *networkSystem) UpdatePortGroup(req *types.UpdatePortGroup) soap.HasFault {
	body := &methods.UpdatePortGroupBody{}
	group, vswitch := s.group(req.PgName), s.vswitch(req.Portgrp.VswitchName)
	switch {
	case group == nil || vswitch == nil:
		body.Fault_ = simulator.Fault("", &types.NotFound{})
	case req.Portgrp.Name != req.PgName || vswitch.Key != group.Vswitch:
		body.Fault_ = simulator.Fault("", &types.NotSupported{})
	case req.Portgrp.VlanId < 0 || req.Portgrp.VlanId > 4095:
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "vlanId"})
	default:
		group.Spec = req.Portgrp
		group.ComputedPolicy = computed(&req.Portgrp.Policy, vswitch.Spec.Policy)
		body.Res = &types.UpdatePortGroupResponse{}
	}
	return body
}

func (s *networkSystem) RemovePortGroup(ctx *simulator.Context, req *types.RemovePortGroup) soap.HasFault {
	body := &methods.RemovePortGroupBody{}
	group, network := s.group(req.PgName), networkOf(ctx.Map, s.Host, req.PgName)
	if group == nil || network == nil {
		body.Fault_ = simulator.Fault("", &types.NotFound{})
		return body
	}
	if inUse(ctx.Map, s.Host, network.Self) {
		body.Fault_ = simulator.Fault("", &types.ResourceInUse{Type: "portgroup", Name: req.PgName})
		return body
	}
	for i := range s.NetworkInfo.Vswitch {
		vswitch := &s.NetworkInfo.Vswitch[i]
		vswitch.Portgroup = slices.DeleteFunc(vswitch.Portgroup, func(key string) bool { return key == group.Key })
	}
	s.NetworkInfo.Portgroup = slices.DeleteFunc(s.NetworkInfo.Portgroup, func(other types.HostPortGroup) bool {
		return other.Spec.Name == req.PgName
	})
	ctx.Map.RemoveReference(ctx, network, &network.Host, s.Host.Self)
	ctx.Map.RemoveReference(ctx, s.Host, &s.Host.Network, network.Self)
	if len(network.Host) == 0 {
		datacenter := ancestor(ctx.Map, s.Host, "Datacenter").(*simulator.Datacenter)
		folder := ctx.Map.Get(*network.Parent).(*simulator.Folder)
		ctx.Map.Remove(ctx, network.Self)
		ctx.Map.RemoveReference(ctx, folder, &folder.ChildEntity, network.Self)
		ctx.Map.RemoveReference(ctx, datacenter, &datacenter.Network, network.Self)
	}
	body.Res = &types.RemovePortGroupResponse{}
	return body
}

func (s *networkSystem) vswitch(name string) *types.HostVirtualSwitch {
	at := slices.IndexFunc(s.NetworkInfo.Vswitch, func(found types.HostVirtualSwitch) bool { return found.Name == name })
	if at < 0 {
		return nil
	}
	return &s.NetworkInfo.Vswitch[at]
}

func (s *networkSystem) group(name string) *types.HostPortGroup {
	at := slices.IndexFunc(s.NetworkInfo.Portgroup, func(found types.HostPortGroup) bool { return found.Spec.Name == name })
	if at < 0 {
		return nil
	}
	return &s.NetworkInfo.Portgroup[at]
}

// configure gives a switch its configuration; its port groups inherit what they do not say.
func (s *networkSystem) configure(vswitch *types.HostVirtualSwitch, spec *types.HostVirtualSwitchSpec) {
	if spec == nil {
		spec = &types.HostVirtualSwitchSpec{NumPorts: 128}
	}
	var own types.HostNetworkPolicy
	if spec.Policy != nil {
		own = *spec.Policy
	}
	whole := computed(&own, &switchPolicy)
	vswitch.Spec = *spec
	vswitch.Spec.Policy = &whole
	vswitch.NumPorts, vswitch.Mtu, vswitch.Pnic = spec.NumPorts, spec.Mtu, nil
	if spec.Mtu == 0 {
		vswitch.Mtu = 1500
	}
	if bond, ok := spec.Bridge.(*types.HostVirtualSwitchBondBridge); ok {
		for _, device := range bond.NicDevice {
			vswitch.Pnic = append(vswitch.Pnic, "key-vim.host.PhysicalNic-"+device)
		}
	}
	for i := range s.NetworkInfo.Portgroup {
		if group := &s.NetworkInfo.Portgroup[i]; group.Vswitch == vswitch.Key {
			group.ComputedPolicy = computed(&group.Spec.Policy, vswitch.Spec.Policy)
		}
	}
}

// switchPolicy is what a switch has by itself.
var switchPolicy = types.HostNetworkPolicy{
	Security: &types.HostNetworkSecurityPolicy{
		AllowPromiscuous: types.NewBool(false), MacChanges: types.NewBool(false),
		ForgedTransmits: types.NewBool(false),
	},
	NicTeaming: &types.HostNicTeamingPolicy{
		Policy: "loadbalance_srcid", NotifySwitches: types.NewBool(true),
		RollingOrder: types.NewBool(false), NicOrder: &types.HostNicOrderPolicy{},
	},
}

// computed is a policy with what it does not say taken from the one above it.
func computed(own *types.HostNetworkPolicy, above *types.HostNetworkPolicy) types.HostNetworkPolicy {
	whole := types.HostNetworkPolicy{
		Security: &types.HostNetworkSecurityPolicy{}, NicTeaming: &types.HostNicTeamingPolicy{},
	}
	for _, policy := range []*types.HostNetworkPolicy{above, own} {
		if policy == nil {
			continue
		}
		if said := policy.Security; said != nil {
			take(&whole.Security.AllowPromiscuous, said.AllowPromiscuous)
			take(&whole.Security.MacChanges, said.MacChanges)
			take(&whole.Security.ForgedTransmits, said.ForgedTransmits)
		}
		if said := policy.NicTeaming; said != nil {
			if said.Policy != "" {
				whole.NicTeaming.Policy = said.Policy
			}
			take(&whole.NicTeaming.NotifySwitches, said.NotifySwitches)
			take(&whole.NicTeaming.RollingOrder, said.RollingOrder)
			take(&whole.NicTeaming.NicOrder, said.NicOrder)
		}
	}
	return whole
}

func take[T any](into **T, said *T) {
	if said != nil {
		*into = said
	}
}

// networkOf is the Network of a port group's name in the datacenter of a host.
func networkOf(registry *simulator.Registry, host *mo.HostSystem, name string) *mo.Network {
	datacenter := ancestor(registry, host, "Datacenter").(*simulator.Datacenter)
	network, _ := registry.FindByName(name, datacenter.Network).(*mo.Network)
	return network
}

// inUse tells whether running machines use a network; host nil: on any host.
func inUse(registry *simulator.Registry, host *mo.HostSystem, network types.ManagedObjectReference) bool {
	return slices.ContainsFunc(registry.All("VirtualMachine"), func(entity mo.Entity) bool {
		machine := entity.(*simulator.VirtualMachine)
		here := host == nil || machine.Runtime.Host != nil && *machine.Runtime.Host == host.Self
		return here && slices.Contains(machine.Network, network) &&
			machine.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
	})
}

// distributed keeps the MTU that a distributed switch is given, and refuses to remove a port group
// that running machines use.
func distributed(registry *simulator.Registry, method *simulator.Method) types.BaseMethodFault {
	switch request := method.Body.(type) {
	case *types.ReconfigureDvs_Task:
		dvs, found := registry.Get(request.This).(*simulator.DistributedVirtualSwitch)
		spec, wide := request.Spec.(*types.VMwareDVSConfigSpec)
		if !found || !wide || spec.MaxMtu == 0 {
			return nil
		}
		if config, ok := dvs.Config.(*types.VMwareDVSConfigInfo); ok {
			config.MaxMtu = spec.MaxMtu
		}
	case *types.Destroy_Task:
		if request.This.Type == "DistributedVirtualPortgroup" && inUse(registry, nil, request.This) {
			return &types.ResourceInUse{Type: request.This.Type, Name: request.This.Value}
		}
	}
	return nil
}
