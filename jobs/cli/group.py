"""The command group ``featurelib``."""

from __future__ import annotations

import click

from jobs.cli.slips import Command, hint_for_command
from jobs.settings import did_you_mean


class _Commands(click.Group):
    """A command group that has hints for slips and unknown commands."""

    command_class = Command
    group_class = type  # groups in the group have the same hints

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            hint = hint_for_command(name)
            hint = f": {hint}" if hint else did_you_mean(name, self.commands)
            ctx.fail(f"there is no command {name!r}{hint}")
        return super().resolve_command(ctx, args)


_EXAMPLES = """\b
Examples:
  featurelib extract music/ --output features/ --labels parent
  featurelib status features/
  featurelib show music/song.mp3

Every command has its own --help.
"""


@click.group(
    cls=_Commands, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="featurelib", prog_name="featurelib")
def cli() -> None:
    """Turn audio corpora into partitioned Parquet feature tables."""
