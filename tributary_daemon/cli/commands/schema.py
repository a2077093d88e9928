"""``trib schema``."""

from __future__ import annotations

from pathlib import Path

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.shared import Command
from tributary_daemon.spec.json_schema import schema_text

_EPILOG = """\b
Editors that know YAML complete and check workflow files with it: name it in their settings, or in the
first line of a file: # yaml-language-server: $schema=workflow.schema.json

\b
Examples:
  trib schema -o workflow.schema.json
  trib schema | jq .properties.steps"""


@click.command(cls=Command, epilog=_EPILOG)
@click.option(
    "-o", "--output", "file", metavar="FILE", type=click.Path(), help="Write it to this file; `-` is stdout."
)
def schema(*, file: str | None) -> int:
    """Print the JSON Schema of workflow files, for editors."""
    text = schema_text()
    if file in (None, "-"):
        click.echo(text, nl=False)
        return failures.COMPLETED
    try:
        Path(str(file)).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from None
    failures.say(f"wrote {file}")
    return failures.COMPLETED
