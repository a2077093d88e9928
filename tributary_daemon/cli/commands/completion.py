"""``trib completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tributary_daemon.cli import failures
from tributary_daemon.cli.shared import Command

_EPILOG = """\b
Install it for good:
  bash   trib completion bash > ~/.local/share/bash-completion/completions/trib
  zsh    trib completion zsh > "${fpath[1]}/_trib"
  fish   trib completion fish > ~/.config/fish/completions/trib.fish

\b
Or for one shell:
  source <(trib completion bash)"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(
        kind(context.find_root().command, {}, "trib", "_TRIB_COMPLETE").source_template
        % {
            "complete_func": "_trib_completion",
            "complete_var": "_TRIB_COMPLETE",
            "prog_name": "trib",
        }
    )
    return failures.COMPLETED
