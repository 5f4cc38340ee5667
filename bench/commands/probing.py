"""The command that tests what networks have learnt beside colour."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import AsJson, BatchSize, DataRoot, Out, end, print_json
from bench.interrupt import keep_in
from bench.probing.settings import Input, Task


def probe(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD...", help="Ids of methods that learn.")],
    weights: Annotated[
        str | None,
        typer.Option(help="Folder of weights; {method} and {seed} are replaced; `untrained` for random ones alone."),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            help="A dataset's id, or a YAML file with class_path and init_args. `folder` has a sub-folder of photos "
            "for each class; voc2007 and voc2012, which tasks other than linear want, have JPEGImages, Annotations, "
            "ImageSets and SegmentationClass."
        ),
    ] = "folder",
    data_root: DataRoot = None,
    task: Annotated[Task, typer.Option(help="What the features are tested by.")] = Task.linear,
    input_: Annotated[
        Input,
        typer.Option("--input", help="Light alone; or, for fine-tuning, a* and b* beside it by weights from zero."),
    ] = Input.gray,
    layers: Annotated[
        str | None, typer.Option(help="Names with commas between them; all, or the deepest for fine-tuning.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="small, paper, or a YAML file.")] = "small",
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="Side of the pictures, instead of the recipe's.")] = None,
    batch_size: BatchSize = None,
    seed: Annotated[int, typer.Option(min=0, help="Of random networks, heads and order.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many photos to learn from, and to test.")] = None,
    out: Out = Path("colorbench-probe"),
    as_json: AsJson = False,
) -> None:
    """Test what networks have learnt beside colour, from their weights and from random ones; goes on where it was."""
    from bench.catalog import training_stages
    from bench.plan import Places, training_tree
    from bench.probing.settings import check_input, load_probe_recipe

    check_input(task, input_)
    for method in methods:
        training_stages(method)
    chosen = load_probe_recipe(recipe)
    tree = training_tree(data, Places(Path(), data_root))
    from bench.probing.probe import probe as run_probe
    from bench.probing.request import Request
    from bench.probing.tables import lines, print_tables

    request = Request(
        tuple(methods),
        weights,
        tree,
        Path(data).stem,
        task,
        input_,
        tuple(name.strip() for name in layers.split(",")) if layers else (),
        chosen.id,
        chosen.settings(task).changed(steps=steps, size=size, batch_size=batch_size),
        seed,
        limit,
        out,
    )
    keep_in(out)
    cells = run_probe(request)
    if as_json:
        print_json(lines(cells))
    else:
        print_tables(cells)
        typer.echo(f"table: {out / 'probe.md'}")
    end(len({key for cell in cells for key in cell.failed}), f"each is named in {out / 'cells'}")
