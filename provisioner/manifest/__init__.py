"""From YAML text with positions to a validated, expanded stack.

:func:`provisioner.manifest.loader.load` is the way in, with a
:class:`provisioner.manifest.catalog.SchemaCatalog`; :mod:`provisioner.manifest.model` says what
comes out. Nothing is imported here: commands that need no manifests need no YAML.
"""
