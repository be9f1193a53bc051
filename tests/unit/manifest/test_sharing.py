"""What networks and pools of one host may not have in common."""

import pytest

from tests.unit.manifest.stacks import POOL, check, one


def nets(*specs: str) -> str:
    """Networks called a, b, c, ..."""
    return "---\n".join(
        f"apiVersion: provisioner/v1\nkind: Network\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        for name, spec in zip("abcd", specs, strict=False)
    )


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            nets("{mode: nat, cidr: 10.0.0.0/16}", "{mode: isolated, cidr: §10.0.7.0/24}"),
            "10.0.7.0/24 overlaps with Network/a, which is 10.0.0.0/16",
        ),
        (
            nets("{mode: nat, cidr: 10.0.7.0/24}", "{mode: nat, cidr: §10.0.0.0/16}"),
            "10.0.0.0/16 overlaps with Network/a, which is 10.0.7.0/24",
        ),
        (
            nets(
                "{mode: nat, cidr: 10.0.0.0/16}",
                "{mode: nat, cidr: 10.1.0.0/16}",
                "{mode: routed, cidr6: 'fd00::/64'}",
                "{mode: routed, cidr6: §'fd00::/64'}",
            ),
            "fd00::/64 overlaps with Network/c, which is fd00::/64",
        ),
    ],
)
def test_networks_of_one_host_do_not_overlap(tmp_path, text, summary):
    assert summary == one(tmp_path, text, "PRV1424").summary


@pytest.mark.parametrize(
    "spec", ["{mode: user, cidr: 10.0.7.0/24}", "{mode: nat, cidr: 10.0.7.0/24, host: other}"]
)
def test_what_has_no_address_on_the_host_may_overlap(tmp_path, spec):
    host = (
        "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: NAME}\nspec: {provider: memory}\n"
    )
    hosts = "---\n".join(host.replace("NAME", name) for name in ("lab", "other"))
    text = nets(
        "{mode: nat, cidr: 10.0.0.0/16, host: lab}", spec.replace("user,", "user, host: lab,")
    )
    check(tmp_path, hosts + "---\n" + text)


def test_a_bridge_that_is_made_is_shared_with_nobody(tmp_path):
    made = "{mode: nat, cidr: 10.0.0.0/24, bridge: br0}"
    there = "{mode: bridge, bridge: §br0}"
    assert (
        "the bridge br0 belongs to Network/a already"
        == one(tmp_path, nets(made, there), "PRV1425").summary
    )
    check(tmp_path, nets(*[there.replace("§", "")] * 2))


@pytest.mark.parametrize(
    ("spec", "summary"),
    [
        ("{type: dir, path: §/images}", "/images is the place"),
        ("{type: dir, path: §/x/..//images}", "/images is the place"),
        (
            "{type: netfs, path: §/images, source: {host: n, directory: /d}}",
            "/images is the place",
        ),
    ],
)
def test_two_pools_of_one_host_have_two_paths(tmp_path, spec, summary):
    other = POOL.replace("name: images", "name: more").replace("{type: dir, path: /images}", spec)
    found = one(tmp_path, POOL + "---\n" + other, "PRV1426")
    assert f"{summary} of StoragePool/images already" == found.summary


@pytest.mark.parametrize(
    "spec",
    [
        "{type: logical, source: {volumeGroup: §vg0}}",
        "{type: iscsi, source: {host: nas, target: §'iqn.2024-01.example:a'}}",
    ],
)
def test_two_pools_of_one_host_have_two_sources(tmp_path, spec):
    pools = [
        POOL.replace("{type: dir, path: /images}", text) for text in (spec.replace("§", ""), spec)
    ]
    check(tmp_path, pools[0] + "---\n" + pools[1].replace("images", "more"), "PRV1426")
