"""``provisioner completion``: click writes the scripts; they call the program back for
candidates."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options

_WHERE = {
    "bash": 'eval "$(provisioner completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(provisioner completion zsh)" in ~/.zshrc',
    "fish": "provisioner completion fish > ~/.config/fish/completions/provisioner.fish",
}


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(sorted(_WHERE)))
@global_options
@pass_invocation
def command(invocation: Invocation, shell: str) -> None:
    """Print a completion script for bash, zsh or fish.

    \b
    bash: eval "$(provisioner completion bash)" in ~/.bashrc
    zsh:  eval "$(provisioner completion zsh)" in ~/.zshrc
    fish: provisioner completion fish > ~/.config/fish/completions/provisioner.fish
    """
    from provisioner.cli.root import root

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these three"
    script = kind(root, {}, "provisioner", "_PROVISIONER_COMPLETE").source()
    invocation.terminal.print([f"# {_WHERE[shell]}", script.strip()])
