"""What every plugin that speaks to a libvirt daemon shares (kvm, and xen beside it).

Pure modules (no libvirt import): ``handler``, ``xml``, ``stamp``, ``network``, ``pool``, ``image``,
``disk`` and their ``*_xml``. The others import libvirt and are loaded by a provider's ``open``
only. Diagnostics of this package are PRV2500..PRV2549 (a field that libvirt cannot honour, found
when the plan is made) and PRV5100..PRV5199.
"""
