"""Provider plugins, installed as ``provisioner_plugins``: one package per hypervisor."""
