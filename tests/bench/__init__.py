"""Benchmarks of the whole program, run by ``scripts/bench``, and tests of what they rest on."""
