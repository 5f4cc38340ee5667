"""The command line: every command by its name, and how it ends."""

import errno
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

import typer

from bench.commands import data, inpainting, machine, pictures, probing, results, running, study, weights
from bench.commands.options import errors
from bench.errors import CommandError, MissingError, UsageError
from bench.interrupt import Interrupted, has_kept, raise_on_signals
from bench.terminal import visible_lines

COMMANDS: Mapping[str, Mapping[str, Callable[..., None]]] = MappingProxyType(
    {
        "Train and compare": {
            "demo": running.demo,
            "run": running.run,
            "train": running.train,
            "score": running.score,
            "probe": probing.probe,
            "reproduce": running.reproduce,
            "inpaint": inpainting.inpaint,
        },
        "Results": {
            "status": results.status,
            "leaderboard": results.leaderboard,
            "compare": results.compare,
            "report": results.report,
            "study": study.study,
            "verify": results.verify,
            "publish": results.publish,
            "replay": results.replay,
        },
        "Photos": {
            "colorize": pictures.colorize,
            "detect": pictures.detect,
            "prior": pictures.prior,
        },
        "This machine": {
            "list": machine.list_,
            "doctor": machine.doctor,
            "speed": machine.speed,
            "check": machine.check,
        },
    }
)
"""All commands but those of Lightning, by the heading that they stand under in the help."""

LIGHTNING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="colorbench",
    help="Compare image colorization methods: the same pictures, the same boxes, the same scores for all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _heading, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_heading)(_command)
app.add_typer(weights.app, name="weights", rich_help_panel="This machine")
app.add_typer(data.app, name="data", rich_help_panel="This machine")


def _lightning() -> None:
    """Hand the whole command line to LightningCLI."""
    from bench.lightning_cli import run_command_line

    run_command_line()


for _name, _help in {
    "fit": "Train with Lightning's own command line (`fit --help`).",
    "validate": "Compute the validation loss with Lightning's own command line.",
    "test": "Run Lightning's test loop.",
    "predict": "Run Lightning's predict loop.",
}.items():
    app.command(_name, help=_help, context_settings=LIGHTNING, rich_help_panel="Lightning")(_lightning)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(version_of("colorbench"))
        raise typer.Exit


def main() -> None:
    """Run the command line and end with the exit status that the interface promises."""
    raise_on_signals()
    try:
        _run_app()
    except CommandError as error:
        kind = {UsageError.exit_status: "error", MissingError.exit_status: "missing"}.get(error.exit_status, "failed")
        errors.print(visible_lines(f"{kind}: {error}"), markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
    except Interrupted as stop:
        kept = f"; what is finished is kept. Go on with: {_again()}" if has_kept() else ""
        errors.print(f"{stop}{kept}", markup=False, soft_wrap=True)
        sys.exit(stop.exit_status)


def _run_app() -> None:
    """Run the command; a name that no file system takes, at which `Path.exists` raises, is wrong usage.

    Raises:
        UsageError: A path is too long.
    """
    try:
        app()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(f"{error.filename!r} is too long for a file's name: give another path") from error


def _again() -> str:
    import shlex

    return shlex.join(["colorbench", *sys.argv[1:]])
