"""The test lab: real libvirt daemons and real guests, each test's own. ``fixtures`` offers them to
tests; scripts use ``daemon``, ``bootsector`` and ``linux`` directly."""
