"""The packages of the distribution; everything else is in pyproject.toml.

plugins/ and schemas/ are installed as provisioner_plugins and provisioner_schemas, a renaming
that setuptools' automatic discovery cannot express. Called by build front ends such as pip.
"""

from setuptools import find_packages, setup

FOLDERS = {
    "provisioner": "provisioner",
    "provisioner_plugins": "plugins",
    "provisioner_schemas": "schemas",
}

setup(
    package_dir=FOLDERS,
    packages=[
        package
        for name, folder in FOLDERS.items()
        for package in [name, *(f"{name}.{below}" for below in find_packages(folder))]
    ],
)
