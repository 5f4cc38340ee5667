"""Commands that tell what there is, and how quick it is here."""

from typing import Annotated

import typer

from bench.commands.options import AsJson, Devices, Precision, print_json
from bench.errors import CommandError


def list_(
    what: Annotated[
        str,
        typer.Argument(
            help="methods, detectors, datasets, metrics, protocols, suites or recipes; or inpainting, of which all."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """List what colorbench knows by name."""
    from bench.listing import entries, print_entries

    if as_json:
        print_json(entries(what))
    else:
        print_entries(what)


def speed(
    method: Annotated[str, typer.Argument(help="A method's id.")],
    weights: Annotated[str | None, typer.Option(help="Folder of weights; the published size if left out.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a forward pass.")] = 1,
    boxes: Annotated[int, typer.Option(min=0, help="Boxes a picture.")] = 8,
    precision: Annotated[Precision, typer.Option(help="Number format of the networks.")] = Precision.full,
    repeats: Annotated[int, typer.Option(min=1, help="Timed passes.")] = 5,
    devices: Devices = 1,
    as_json: AsJson = False,
) -> None:
    """Measure images per second, memory, parameters and GMACs on this machine."""
    from bench.catalog import known, methods

    known("method", method, methods())
    from bench.speed import measure, measure_together, print_speed

    arguments = {"batch_size": batch_size, "boxes": boxes, "precision": precision.value, "repeats": repeats}
    if devices > 1:
        measured = measure_together(devices, method=method, weights=weights, **arguments)
    else:
        measured = measure(method, weights, batch_size, boxes, precision.value, repeats)
    if as_json:
        print_json(measured)
    else:
        print_speed(measured)


def check(
    method: Annotated[str, typer.Argument(help="A method's id.")],
    weights: Annotated[str | None, typer.Option(help="Folder of weights; random ones if left out.")] = None,
) -> None:
    """Try a method on a few made pictures before a long run: its answers, their range, what it does to its input."""
    from bench.catalog import known, methods

    known("method", method, methods())
    from bench.method_check import check_named, lines

    checks = check_named(method, weights)
    for line in lines(checks):
        typer.echo(line)
    failed = sum(each.passed is False for each in checks)
    if failed:
        held = "1 check does" if failed == 1 else f"{failed} checks do"
        raise CommandError(f"{held} not hold for {method}: correct what is marked FAILED, and check again")


def doctor(as_json: AsJson = False) -> None:
    """Show versions, devices, weights and data found, what is missing and how to get it."""
    from bench.doctor import examine, print_examination

    if as_json:
        print_json(examine())
    else:
        print_examination()
