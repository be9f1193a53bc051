"""Reads what the property collector answers, faster than pyvmomi does.

Most of what a sweep brings is text in a known place: pyvmomi takes the same twenty steps for each
element of it, and with thousands of machines most of the time of a plan went there. Here the frame
of the answer and plain values are read directly; whatever has a structure of its own (devices,
lists, faults) is handed on to pyvmomi's deserializer, in the same pass. Called by
:mod:`~provisioner_plugins.vmware.wire.sweep`.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any, NamedTuple
from xml.parsers.expat import ParserCreate

from pyVmomi import SoapAdapter, vim, vmodl
from pyVmomi.VmomiSupport import Enum

_SEPARATOR = SoapAdapter.NS_SEP
_XSI_TYPE = SoapAdapter.XSI_TYPE
_Missing = vmodl.query.PropertyCollector.MissingProperty

Convert = Callable[[str], Any]


class Item(NamedTuple):
    """What was told of one object: its id and type, the properties that are set, by path, and why
    others are missing.
    """

    moid: str
    kind: type
    values: dict[str, Any]
    missing: Sequence[Any]


class Answer(NamedTuple):
    """A page; ``token`` asks for the next one, "" on the last."""

    items: list[Item]
    token: str


def ask(collector: Any, method: str, *arguments: Any) -> Answer:
    """Call a method of a property collector that retrieves properties.

    Raises what pyvmomi raises: faults, OSError, HTTPException, ExpatError.
    """
    stub = collector._stub
    info = collector._GetMethodInfo(method)
    request = stub.SerializeRequest(collector, info, arguments)
    headers = {
        "Cookie": stub.cookie,
        "SOAPAction": stub.versionId,
        "Content-Type": "text/xml; charset=UTF-8",
        "Accept-Encoding": "gzip",
        **(stub._customHeaders or {}),
    }
    connection = stub.GetConnection()
    try:
        connection.request("POST", stub.path, request, headers)
        response = connection.getresponse()
        packed = response.getheader("Content-Encoding", "") == "gzip"
        body = gzip.GzipFile(fileobj=response) if packed else response
        if response.status == 200:
            answer: Any = _Reader(stub).read(body)
        elif response.status == 500:
            answer = SoapAdapter.SoapResponseDeserializer(stub).Deserialize(body, info.result)
        else:
            raise HTTPException(f"{response.status} {response.reason}")
        response.read()
    except BaseException:
        connection.close()
        stub.DropConnections()
        raise
    stub.ReturnConnection(connection)
    if not isinstance(answer, Answer):
        raise answer
    return answer


class _Reader(SoapAdapter.ExpatDeserializerNSHandlers):  # type: ignore[misc]
    """Handlers of one document for expat."""

    def __init__(self, stub: Any) -> None:
        super().__init__()
        self._stub = stub
        self._inner = SoapAdapter.SoapDeserializer(stub)
        self._converters: dict[str, Convert | None] = {}
        self._kinds: dict[str, type] = {}
        self._items: list[Item] = []
        self._token = ""
        self._text = ""
        self._handed_on: Callable[[Any], None] | None = None
        self._moid, self._path = "", ""
        self._kind: type = vim.ManagedEntity
        self._values: dict[str, Any] = {}
        self._missing: list[Any] = []
        self._convert: Convert | None = None

    def read(self, body: Any) -> Answer:
        """A whole document."""
        self._parser = parser = ParserCreate(namespace_separator=_SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartNamespaceDeclHandler = self.StartNamespaceDeclHandler
        parser.EndNamespaceDeclHandler = self.EndNamespaceDeclHandler
        try:
            parser.ParseFile(body)
        finally:
            # The parser and its handlers would keep each other, and all that was read.
            SoapAdapter.SetHandlers(parser, (None,) * len(SoapAdapter.GetHandlers(parser)))
            del self._parser
        return Answer(self._items, self._token)

    # --- the handlers of xml.parsers.expat ---

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._text = ""
        if self._handed_on is not None:
            self._take()
        name = tag.rpartition(_SEPARATOR)[2]
        if name == "val":
            self._begin_value(tag, attributes)
        elif name == "obj":
            self._kind = self._kind_of(attributes["type"])
        elif name == "objects":
            self._values, self._missing = {}, []
        elif name == "missingSet":
            self._hand_on(tag, attributes, _Missing, self._missing.append)

    def _end(self, tag: str) -> None:
        if self._handed_on is not None:
            self._take()
        name = tag.rpartition(_SEPARATOR)[2]
        if name == "name":
            self._path = self._text
        elif name == "val":
            if self._convert is not None:
                self._values[self._path] = self._convert(self._text)
        elif name == "obj":
            self._moid = self._text
        elif name == "objects":
            self._items.append(Item(self._moid, self._kind, self._values, self._missing))
        elif name == "token":
            self._token = self._text

    def _characters(self, data: str) -> None:
        self._text += data

    # --- values ---

    def _begin_value(self, tag: str, attributes: dict[str, str]) -> None:
        said = attributes.get(_XSI_TYPE)
        if said is None:
            self._convert = None  # a property that is not set, on a later page
            return
        if "type" in attributes:
            kind, stub = self._kind_of(attributes["type"]), self._stub
            self._convert = lambda text: kind(text, stub)
            return
        if said not in self._converters:
            self._converters[said] = self._converter(self._type_of(said))
        self._convert = self._converters[said]
        if self._convert is None:
            path, values = self._path, self._values
            self._hand_on(tag, attributes, object, lambda found: values.update({path: found}))

    def _hand_on(
        self, tag: str, attributes: dict[str, str], kind: type, use: Callable[[Any], None]
    ) -> None:
        """Have pyvmomi read this element; it gives the parser back at its end."""
        self._handed_on = use
        self._inner.Deserialize(self._parser, kind, isFault=False, nsMap=self.nsMap)
        self._inner.StartElementHandler(tag, attributes)

    def _take(self) -> None:
        use, self._handed_on = self._handed_on, None
        if use is not None:
            use(self._inner.GetResult())

    def _kind_of(self, name: str) -> type:
        if name not in self._kinds:
            self._kinds[name] = self._type_of(name)
        return self._kinds[name]

    def _type_of(self, name: str) -> type:
        namespace, bare = self.GetNSAndWsdlname(name)
        found: type = self._inner.LookupWsdlType(namespace, bare, allowManagedObjectReference=True)
        return found

    def _converter(self, kind: type) -> Convert | None:
        """How the text of a value becomes one; None for what pyvmomi has to read."""
        if kind is bool:
            return lambda text: text in ("true", "1")
        if issubclass(kind, Enum):
            # One that is newer than pyvmomi is told as it is.
            return lambda text: getattr(kind, text, text)
        return kind if issubclass(kind, str | int | float) else None
