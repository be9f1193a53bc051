"""Machines whose disks an array or vSphere Replication copies: the capability Replication, of the
way ``external`` alone. :mod:`handler` has the methods.
"""
