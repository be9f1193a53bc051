"""The test suite; ``tests.lab`` and the other support packages are imported from here."""
