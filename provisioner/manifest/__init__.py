"""From YAML text with positions to a validated, expanded stack.

``load(root, SchemaCatalog.installed())`` is the way in; :mod:`provisioner.manifest.model` says what
comes out.
"""

from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.loader import load

__all__ = ["KindInfo", "SchemaCatalog", "load"]
