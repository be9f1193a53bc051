"""Speaking to a vSphere endpoint: one session, sweeps, tasks, and what errors mean.

The only part of the plugin that knows how calls travel; everything above it gets plain rows or the
two errors of the contract.
"""
