"""Declarative provisioner for virtual machines: manifests, graph, plan, apply."""

__version__ = "0.1.0"
