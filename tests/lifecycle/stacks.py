"""Resources that several lifecycle tests declare, as :meth:`Scenario.declare` takes them."""

LAN = """
Network/lan
mode: isolated
cidr: 10.0.0.0/24
"""

POOL = """
StoragePool/pool
type: dir
path: /srv/pool
"""

DISK = """
Disk/web-root
pool: pool
size: 1GiB
"""

THROWAWAY_DISK = """
Disk/web-root
pool: pool
size: 1GiB
retention: delete
"""

WEB = """
VirtualMachine/web
cpu: {count: 1, max: 4}
memory: {size: 256MiB}
disks: [{disk: web-root}]
nics: [{name: lan, network: lan}]
"""

ALL = (LAN, POOL, DISK, WEB)
