"""The seed is a CD image that cloud-init takes, named by its content."""

import io
from typing import Any

import pytest
import yaml

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import Secret

pycdlib = pytest.importorskip("pycdlib")

from provisioner_plugins.kvm.machine import seed  # noqa: E402
from tests.unit.kvm.specs import MIB, UID, machine  # noqa: E402


class Secrets:
    def resolve(self, reference: str) -> Secret:
        if reference != "env://USER_DATA":
            raise ProvisionerError(error("PRV1501", f"there is no secret {reference}"))
        return Secret("#cloud-config\npassword: hunter2\n", reference)


def files(section: dict[str, Any]) -> dict[str, bytes]:
    return seed.files(machine({"memory": {"size": MIB}, "cloudInit": section}), Secrets())


def test_the_instance_is_the_machine() -> None:
    text = files({"userData": "#!/bin/sh\n"})["meta-data"].decode()
    assert f'instance-id: "{UID}"\nlocal-hostname: "web"\n' == text


def test_meta_data_of_the_author_goes_first() -> None:
    given = {"local-hostname": "a.b", "zone": "1", "odd key: ä": 'say "no"\n'}
    meta = yaml.safe_load(files({"metaData": given})["meta-data"])
    assert {**given, "instance-id": str(UID)} == meta


def test_files_are_as_the_author_wrote_them() -> None:
    found = files({"userData": "#cloud-config\nä: 1\n", "networkConfig": "version: 2\n"})
    assert "#cloud-config\nä: 1\n".encode() == found["user-data"]
    assert b"version: 2\n" == found["network-config"]
    assert {"meta-data", "user-data"} == set(files({}))


def test_a_secret_is_put_in_and_a_missing_one_is_named() -> None:
    assert b"hunter2" in files({"userData": {"secretRef": "env://USER_DATA"}})["user-data"]
    with pytest.raises(ProvisionerError, match="env://OTHER"):
        files({"userData": {"secretRef": "env://OTHER"}})


def test_the_image_holds_the_files_under_their_names_and_the_label() -> None:
    content = files({"userData": "#!/bin/sh\n" + "x" * 10_000, "networkConfig": "version: 2\n"})
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(seed.image(content)))
    assert b"cidata" == iso.pvd.volume_identifier.strip()
    for name, data in content.items():
        for path in ({"joliet_path": f"/{name}"}, {"rr_path": f"/{name}"}):
            out = io.BytesIO()
            iso.get_file_from_iso_fp(out, **path)
            assert data == out.getvalue()
    iso.close()


def test_only_another_content_has_another_name() -> None:
    names = [
        seed.volume_name("web", UID, files(section))
        for section in ({"userData": "a"}, {"userData": "a"}, {"userData": "b"})
    ]
    assert names[0] == names[1] != names[2]
    assert all(name.startswith(seed.prefix("web", UID)) for name in names)
