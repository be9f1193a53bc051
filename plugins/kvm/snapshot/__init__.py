"""The kind Snapshot: ``rules`` and ``definition`` are pure, ``handler`` speaks to the host."""
