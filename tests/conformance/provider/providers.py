"""The providers that the conformance suite takes through the laws. A plugin joins here."""

from __future__ import annotations

from tests.conformance.provider.example_under_test import KIND, FolderUnderTest
from tests.conformance.provider.memory_under_test import MemoryUnderTest
from tests.conformance.provider.under_test import Candidate

CANDIDATES = (
    Candidate("memory", MemoryUnderTest.in_file),
    Candidate("memory-in-process", MemoryUnderTest.in_process),
    Candidate("folder", FolderUnderTest, frozenset({KIND})),
)
