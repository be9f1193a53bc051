"""Which keys count: for signing stored recovery plans, and for believing them.

Named on the command line, else in the user's own configuration; never in the stack's folder, which
must have no say in it.
"""

from __future__ import annotations

from pathlib import Path

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.userconfig import UserConfiguration, read_configuration
from provisioner.workflows.recovery.signing import SigningKey, TrustedKeys, make_key

__all__ = ["make_key", "names_trusted_keys", "signing_key", "trusted_keys"]


def signing_key(given: Path | None, configuration: Path | None, stack: Path) -> SigningKey:
    """The key in the file ``given``, else in that which the user's ``configuration`` names; raises
    ProvisionerError (PRV7047) if there is none or it cannot be used. ``stack``: the folder of the
    stack, in which no configuration may lie.
    """
    path = given or _configured(configuration, stack).signing_key
    if path is None:
        raise ProvisionerError(
            error(
                "PRV7047",
                "no key is named to sign with",
                detail="A stored plan that nobody signed is never carried out, and a report that "
                "nobody signed proves nothing.",
                hint="Make one with 'provisioner dr key FILE', and name it: --key FILE, or "
                "recovery.signingKey in your configuration.",
            )
        )
    return SigningKey.read(path)


def trusted_keys(given: Path | None, configuration: Path | None, stack: Path) -> TrustedKeys:
    """The public keys in the file ``given``, else in that which the user's ``configuration`` names;
    raises ProvisionerError (PRV7048) if there is none or it cannot be used.
    """
    path = given or _configured(configuration, stack).trusted_keys
    if path is None:
        raise ProvisionerError(
            error(
                "PRV7048",
                "no file of trusted keys is named",
                detail="Whose plans are carried out is yours to say.",
                hint="Put the lines of the public keys (FILE.pub of 'provisioner dr key') into a "
                "file, and name it: --trusted FILE, or recovery.trustedKeys in your configuration.",
            )
        )
    return TrustedKeys.read(path)


def names_trusted_keys(configuration: Path | None, stack: Path) -> bool:
    """Whether the user's own configuration names a file of public keys. Raises ProvisionerError if
    it cannot be used.
    """
    return _configured(configuration, stack).trusted_keys is not None


def _configured(configuration: Path | None, stack: Path) -> UserConfiguration:
    found = None if configuration is None else read_configuration(configuration, stack)
    return found or UserConfiguration()
