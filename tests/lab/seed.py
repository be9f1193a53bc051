"""NoCloud seed images, made by xorriso: not with the library that the provisioner uses, so that the
two can be held against each other. Called by live tests.

Source: https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
"""

import subprocess
import tempfile
from pathlib import Path


def write_seed(target: Path, user_data: str, meta_data: str) -> Path:
    """An ISO 9660 image labelled ``cidata``; returns ``target``."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "user-data").write_text(user_data)
        Path(folder, "meta-data").write_text(meta_data)
        command = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r"]
        subprocess.run([*command, "-o", target, folder], check=True, capture_output=True)
    return target
