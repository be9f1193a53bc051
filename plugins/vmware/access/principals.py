"""Users and groups as directories call them. Pure.

A vCenter answers ``name@domain`` with ``DOMAIN\\name``, may use the short name of the domain, and
compares without regard to case (vSphere Security, "vCenter Single Sign-On").
"""

from __future__ import annotations


def is_same(one: str, other: str) -> bool:
    """Whether two spellings mean the same user or group. Where one of them has no domain, or has
    its short name, the rest decides.
    """
    (domain, name), (other_domain, other_name) = _parts(one), _parts(other)
    if name != other_name:
        return False
    if not domain or not other_domain or domain == other_domain:
        return True
    short, long = sorted((domain, other_domain), key=len)
    return long.partition(".")[0] == short


def _parts(principal: str) -> tuple[str, str]:
    """Domain and name, for comparison."""
    folded = principal.casefold()
    if "\\" in folded:
        domain, _, name = folded.partition("\\")
        return domain, name
    name, _, domain = folded.partition("@")
    return domain, name
