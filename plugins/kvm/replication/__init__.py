"""Replication from one KVM host to another: see docs/decisions/0048. Called by the session.

- :mod:`nbd`: the network block device protocol, client side; :mod:`copying`: from one to another;
- :mod:`shell` and :mod:`exports`: programs on the hosts; :mod:`private`: their sockets and files;
- :mod:`locks`: who may work on a replica;
- :mod:`record` and :mod:`store`: the replica's files at the receiver, and what is told of them;
- :mod:`source` and :mod:`mirror`: the machine where it runs now;
- :mod:`handler`: the capability.
"""
