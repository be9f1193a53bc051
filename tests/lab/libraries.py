"""Content libraries of the simulator, filled by its REST API as it has it (``/rest``). Called by
tests of the vmware plugin.
"""

import base64
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

from tests.lab.vcsim import Vcsim

_CONTENT = "com/vmware/content"
_SECONDS = 30.0


class Libraries:
    """Makes libraries and items."""

    def __init__(self, vcsim: Vcsim) -> None:
        self._base = vcsim.url.removesuffix("/sdk")
        self._context = ssl.create_default_context(cafile=str(vcsim.ca))
        secret = base64.b64encode(f"{vcsim.user}:{vcsim.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {secret}"}
        session = self._ask("POST", "com/vmware/cis/session")
        self._headers = {"vmware-api-session-id": str(session)}

    def library(self, name: str, datastore: str) -> str:
        """A library of this name on a datastore, by its managed object id; its id."""
        backing = {"type": "DATASTORE", "datastore_id": datastore}
        spec = {"name": name, "type": "LOCAL", "storage_backings": [backing]}
        return str(self._ask("POST", f"{_CONTENT}/local-library", {"create_spec": spec}))

    def item(self, library: str, name: str, kind: str, files: Mapping[str, bytes]) -> str:
        """An item of a type (``ovf``, ``iso``) with files; its id."""
        spec = {"library_id": library, "name": name, "type": kind}
        item = str(self._ask("POST", f"{_CONTENT}/library/item", {"create_spec": spec}))
        session = f"{_CONTENT}/library/item/update-session"
        made = str(self._ask("POST", session, {"create_spec": {"library_item_id": item}}))
        for file, content in files.items():
            told = self._ask(
                "POST",
                f"{_CONTENT}/library/item/updatesession/file/id:{made}?~action=add",
                {"file_spec": {"name": file, "source_type": "PUSH", "size": len(content)}},
            )
            self._send("PUT", told["upload_endpoint"]["uri"], content)
        self._ask("POST", f"{session}/id:{made}?~action=complete")
        return item

    def template(self, library: str, name: str, machine: str, place: Mapping[str, str]) -> str:
        """A VM template made of a machine; ``place`` has its folder and resource pool; its id."""
        spec = {"library": library, "name": name, "source_vm": machine, "placement": dict(place)}
        return str(self._ask("POST", "vcenter/vm-template/library-items", {"spec": spec}))

    def _ask(self, verb: str, path: str, body: object = None) -> Any:
        content = json.dumps({} if body is None else body).encode()
        answer = self._send(verb, f"{self._base}/rest/{path}", content)
        return json.loads(answer)["value"] if answer.strip() else None

    def _send(self, verb: str, url: str, content: bytes) -> bytes:
        headers = {**self._headers, "Content-Type": "application/json"}
        request = Request(url, content, headers, method=verb)
        with urlopen(request, timeout=_SECONDS, context=self._context) as answer:
            return bytes(answer.read())
