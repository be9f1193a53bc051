"""What a vCenter's REST API says when it refuses something. Pure; see :mod:`rest`.

Source: vSphere Automation API, "Standard Errors" (com.vmware.vapi.std.errors).
"""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any


class VapiError(HTTPException):
    """An answer that is no success. ``kind`` is its ``error_type`` (``NOT_FOUND``), empty where the
    answer came from something before the API; ``words`` are its messages.
    """

    def __init__(self, status: int, reason: str, kind: str = "", words: str = "") -> None:
        super().__init__(f"{status} {reason}: {words or kind or 'nothing more'}")
        self.status = status
        self.kind = kind
        self.words = words


def error_of(status: int, reason: str, body: bytes) -> VapiError:
    """The error that an answer is. ``body``: ``{"error_type": ..., "messages": [{"id": ...,
    "default_message": ..., "args": [...]}]}``, or anything.
    """
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return VapiError(status, reason)
    messages = [item for item in told.get("messages") or () if isinstance(item, dict)]
    texts = [str(item.get("default_message") or item.get("id") or "") for item in messages]
    words = "; ".join(text.strip().rstrip(".") for text in texts if text.strip())
    return VapiError(status, reason, str(told.get("error_type") or ""), words)
