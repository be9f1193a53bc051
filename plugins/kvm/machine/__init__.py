"""The kind VirtualMachine: ``rules`` and ``impact`` are pure, ``handler`` speaks to the host
through the other modules.
"""
