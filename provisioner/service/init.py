"""Making a new stack: a folder with manifests that plan and apply as they are."""

from __future__ import annotations

import re
from pathlib import Path

from provisioner.core.address import NAME_PATTERN
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.manifest.folder import manifest_files
from provisioner.manifest.glance import holds_manifest, stack_around
from provisioner.service.layout import SCHEMAS
from provisioner.service.schema import schema_files, write_schemas
from provisioner.service.templates import SystemImage, manifests

_QCOW2_MAGIC = b"QFI\xfb"
"""docs/interop/qcow2.txt in QEMU's source."""


def make_stack(
    folder: Path, name: str | None, data_folder: Path, image: Path | None = None
) -> list[Path]:
    """Write a new stack into ``folder``; returns the files that a person will look at.

    ``name`` None takes the folder's own. ``data_folder`` is where the disks go, in a folder called
    like the stack. ``image`` is what the machine boots from; without one its disk is empty. Raises
    ProvisionerError (PRV6011..6013, PRV6018) and writes nothing if a file or another stack is in
    the way, the name is no good, or the image cannot be read.
    """
    folder = folder.absolute()
    stack = stack_name(name, folder)
    files = manifests(_system_image(image, folder) if image is not None else None)
    problem = _in_the_way(folder, list(files))
    if problem is not None:
        raise ProvisionerError(problem)
    values = {"STACK-NAME": stack, "POOL-PATH": str(data_folder / stack), "SCHEMAS": SCHEMAS}
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            path = folder / file
            for placeholder, value in values.items():
                text = text.replace(placeholder, value)  # noqa: PLW2901 - filled in step by step
            with path.open("x", encoding="utf-8") as stream:
                stream.write(text)
            written.append(path)
    except OSError as failure:
        for path in written:
            path.unlink(missing_ok=True)
        raise ProvisionerError(
            error("PRV6012", f"the stack cannot be written to {folder}", detail=str(failure))
        ) from failure
    write_schemas(folder / SCHEMAS)
    return written


def _system_image(image: Path, folder: Path) -> SystemImage:
    """The image as a manifest in ``folder`` names it: relative where it lies in there."""
    try:
        with image.open("rb") as stream:
            magic = stream.read(len(_QCOW2_MAGIC))
    except OSError as problem:
        raise ProvisionerError(
            error(
                "PRV6018",
                f"the image {image} cannot be read",
                detail=f"{problem.strerror}.",
                hint="Name a disk image, such as the qcow2 file of a Linux distribution.",
            )
        ) from problem
    path = image.absolute()
    named = path.relative_to(folder) if path.is_relative_to(folder) else path
    return SystemImage(str(named), "qcow2" if magic == _QCOW2_MAGIC else "raw")


def _in_the_way(folder: Path, files: list[str]) -> Diagnostic | None:
    """What speaks against a new stack here: files of the same names, manifests, a stack around."""
    names = [*files, *(f"{SCHEMAS}/{name}" for name in schema_files())]
    taken = [name for name in names if (folder / name).exists()]
    if taken:
        return error(
            "PRV6011",
            f"{folder} contains files that would be overwritten",
            detail=f"In the way: {', '.join(taken)}.",
            hint="Name an empty or a new folder: provisioner init DIR",
        )
    if folder.is_dir():
        for path in manifest_files(folder).files:
            if holds_manifest(folder / path):
                return error(
                    "PRV6011",
                    f"{folder} already holds a manifest: {path}",
                    detail="All manifests in a folder and its subfolders belong to one stack.",
                    hint="Name an empty or a new folder: provisioner init DIR",
                )
    around = stack_around(folder)
    if around is not None:
        return error(
            "PRV6011",
            f"{folder} is inside the stack of {around}",
            detail="All manifests in a folder and its subfolders belong to one stack.",
            hint=f"Name a folder outside of {around.parent}: provisioner init DIR",
        )
    return None


def stack_name(name: str | None, folder: Path) -> str:
    """A name that suits every manifest of the new stack, which add a word of their own to it; that
    of the folder where ``name`` is None. Raises ProvisionerError (PRV6013).
    """
    candidate = name or re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "stack"
    if name is None:
        candidate = candidate[:40].strip("-")
    if not NAME_PATTERN.fullmatch(f"{candidate}-disks"):
        raise ProvisionerError(
            error(
                "PRV6013",
                f"{candidate!r} is not a valid name for a stack",
                detail="Expected lower-case letters, digits, '-' and '.', at most 57 characters.",
                hint="Choose one with --name.",
            )
        )
    return candidate
