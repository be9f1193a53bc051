"""A VirtualMachine's canonical spec as libvirt's domain XML, and back. Pure: no libvirt import.

Each module knows one part of a domain and has a ``write``, which makes a definition say what a spec
says and leaves everything else in it as it is, and a ``read``, which gives the part of the spec
that a definition (configured or live) expresses, defaults included.
:mod:`~provisioner_plugins.kvm.domain.document` puts them together.

Source for all of them: libvirt, "Domain XML format" (https://libvirt.org/formatdomain.html).
"""
