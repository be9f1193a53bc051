"""What every page has that needs nothing else: no other file, no server, no script to be read.

Built from elements, never from templates, so that nothing that is shown can become markup. The
policy in its head lets a browser run and load nothing but the style and the script that stand in
it.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from xml.etree.ElementTree import Element, SubElement, tostring

from provisioner.cli.render.text import printable


def page_of(title: str, style: str, script: str = "") -> tuple[Element, Element]:
    """A page with its head, and its empty body. Whoever passes a ``script`` puts it there."""
    page = Element("html", {"lang": "en"})
    scripts = f" script-src '{_hash(script)}';" if script else ""
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}';{scripts}"
        " base-uri 'none'; form-action 'none'"
    )
    head = SubElement(page, "head")
    for attributes in (
        {"charset": "utf-8"},
        {"http-equiv": "Content-Security-Policy", "content": policy},
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
        {"name": "color-scheme", "content": "light dark"},
        {"name": "referrer", "content": "no-referrer"},
    ):
        SubElement(head, "meta", attributes).tail = "\n"
    SubElement(head, "title").text = title
    SubElement(head, "style").text = style
    return page, SubElement(page, "body")


def lines_of(page: Element) -> list[str]:
    """The page in lines."""
    return ["<!DOCTYPE html>", *tostring(page, encoding="unicode", method="html").split("\n")]


def file_of(package: str, name: str) -> str:
    """A style or a script from a package beside this one."""
    place = files(f"provisioner.cli.render.{package}")
    return place.joinpath(name).read_text(encoding="utf-8")


def text_in(parent: Element, tag: str, text: str, name: str = "") -> Element:
    """An element with a text in which nothing is invisible. ``name`` is its class."""
    element = SubElement(parent, tag, {"class": name} if name else {})
    element.text = printable(text)
    return element


def _hash(text: str) -> str:
    """A source of a Content Security Policy (CSP 3, hash-source)."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
