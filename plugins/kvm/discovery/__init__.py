"""Domains as manifests: what the common model says of each, what fragments carry, what is left.

:mod:`~provisioner_plugins.kvm.discovery.machine` puts the parts together; the handler of
VirtualMachine calls it. What they give keeps the law of discovery: taken over as it is written, a
machine has nothing that differs. docs/kvm-discovery.md tells it for people. Pure: no libvirt
import.
"""
