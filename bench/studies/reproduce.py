"""Repeat a study: its trainings in processes of their own, its suite, and the page that tells of both."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.catalog import known
from bench.errors import CommandError, MissingError, UsageError
from bench.files import atomic_write
from bench.leaderboard import read_record, record_paths
from bench.plan import Places
from bench.prepare import Options
from bench.progress import Advance, progress, say
from bench.provenance import git_state
from bench.record import RunRecord
from bench.studies.declared import Declared, Training, load_study
from bench.studies.files import COST, RECORDS, collect, read_records
from bench.studies.page import write_page

COMMAND = (sys.executable, "-P", "-c", "from bench.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Workplace:
    """Say where and how a study is repeated.

    Attributes:
        work: folder for `trained/` and `run/`.
        data_root: folder that relative data paths start from.
        jobs: trainings, then scoring processes, at once, each with one thread.
        only: name of one method of the suite that is repeated and compared alone.
    """

    work: Path
    data_root: Path | None = None
    jobs: int = 1
    only: str | None = None


def reproduce(folder: Path, place: Workplace) -> int:
    """Train, score, compare with the records that the study's folder holds, and write its page anew.

    With `only` nothing in the study's folder is touched.

    Returns:
        How many pictures failed.
    """
    from bench.runner import run

    declared = load_study(folder)
    names = [method.name for method in declared.suite.methods]
    chosen = [known("method of this study", place.only, names)] if place.only else names
    if git_state()[1]:
        say("note: the packages differ from their commit; records will say so, and no page is written from them")
    methods = [method for method in declared.suite.methods if method.name in chosen]
    train_all(declared, declared.study.needed(methods), place)
    out = place.work / "run"
    places = Places(place.work, place.data_root)
    failed = run(declared.suite, Options(out, places, only=chosen, devices=place.jobs, save_images=True))
    for line in differences(read_records(folder), out, chosen):
        say(line)
    if place.only is None:
        check_clean(out)
        collect(declared, place.work, place.data_root)
        say(f"page: {write_page(declared)}")
    return failed


def check_clean(out: Path) -> None:
    """Refuse records of a checkout with changes: nobody else could repeat them.

    Raises:
        CommandError: There is one.
    """
    dirty = [path.parent.name for path in record_paths(out) if read_record(path).git_dirty]
    if dirty:
        raise CommandError(
            f"{len(dirty)} records in {out} are of a checkout with uncommitted changes, such as {dirty[0]}: commit, "
            f"delete {out} and start again; trainings are kept"
        )


def train_all(declared: Declared, trainings: Sequence[Training], place: Workplace) -> None:
    """Run every training with every seed, `jobs` at once; each waits for the one that it goes on from.

    Raises:
        CommandError: One ended early.
    """
    running: set[subprocess.Popen[bytes]] = set()
    futures: dict[str, Future[None]] = {}
    title = f"{len(trainings) * len(declared.study.seeds)} trainings, {place.jobs} at once"
    with (
        progress(title, len(trainings) * len(declared.study.seeds)) as advance,
        ThreadPoolExecutor(place.jobs) as pool,
    ):
        for seed in declared.study.seeds:
            for training in trainings:
                first = futures[f"{training.init}--s{seed}"] if training.init else None
                futures[training.run(seed)] = pool.submit(
                    _train_after, first, declared, training, seed, place, running, advance
                )
        try:
            for future in futures.values():
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(running):
                child.terminate()
            raise


def _train_after(
    first: "Future[None] | None",
    declared: Declared,
    training: Training,
    seed: int,
    place: Workplace,
    running: "set[subprocess.Popen[bytes]]",
    advance: Advance,
) -> None:
    """Wait for the training to go on from, then train in a process with one thread and add up its CPU seconds."""
    if first is not None:
        first.result()
    out = place.work / "trained" / training.run(seed)
    cost = _cost(out, declared.digest(training, seed))
    if not cost["done"]:
        _train(command(declared, training, seed, place), out, cost, running)
    advance()


def _cost(out: Path, declared: str) -> dict[str, Any]:
    """Return what is known of a training that has begun; `declared` is the digest of what it is to be.

    Raises:
        UsageError: The folder holds a training that was declared otherwise.
    """
    if not (out / COST).is_file():
        return {"declared": declared, "cpu_seconds": 0.0, "done": False}
    cost: dict[str, Any] = json.loads((out / COST).read_text(encoding="utf-8"))
    if cost["declared"] != declared:
        raise UsageError(f"{out} was trained otherwise than the study now says; give another --out, or delete it")
    return cost


def command(declared: Declared, training: Training, seed: int, place: Workplace) -> list[str]:
    """Return the arguments of `colorbench` that repeat a training."""
    study, trained = declared.study, place.work / "trained"
    recipe = declared.beside(training.recipe or study.recipe)
    words = ["train", training.method, "--data", declared.beside(study.data), "--recipe", recipe, "--seed", str(seed)]
    words += ["--precision", study.precision]
    words += ["--data-root", str(place.data_root)] if place.data_root else []
    for key, value in training.settings.items():
        words += ["--set", f"{key}={json.dumps(value) if isinstance(value, bool) else value}"]
    words += ["--init", f"{trained / training.init}--s{seed}"] if training.init else []
    return [*words, "--out", str(trained / training.run(seed))]


def _train(
    arguments: Sequence[str], out: Path, cost: Mapping[str, Any], running: "set[subprocess.Popen[bytes]]"
) -> None:
    """Run one command to its end; what it prints goes to `training.log`, its CPU seconds are added to those before.

    Raises:
        CommandError: It ended with another status than 0.
    """
    out.mkdir(parents=True, exist_ok=True)
    log_file = out / "training.log"
    with log_file.open("ab") as log:
        settings = os.environ | {"OMP_NUM_THREADS": "1"}
        child = subprocess.Popen([*COMMAND, *arguments], env=settings, stdout=log, stderr=log)  # noqa: S603 - our own
        running.add(child)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        running.discard(child)
    spent = round(cost["cpu_seconds"] + usage.ru_utime + usage.ru_stime, 1)
    now = {**cost, "cpu_seconds": spent, "done": child.returncode == 0}
    atomic_write(out / COST, json.dumps(now) + "\n")
    if child.returncode != 0:
        said = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or [
            "it printed nothing"
        ]
        raise CommandError(f"{out.name} ended with status {child.returncode}: {said[0]}; see {log_file}")


def differences(committed: Sequence[RunRecord], out: Path, methods: Sequence[str]) -> list[str]:
    """Compare the means of new runs with those of the study's records; return what to tell, a line a run."""
    if not committed:
        return []
    found = {_run(record): record for record in (read_record(path) for path in record_paths(out))}
    lines = [_difference(record, found.get(_run(record))) for record in committed if record.method in methods]
    if not lines:
        raise MissingError(f"the study holds no record of {', '.join(methods)} in {RECORDS}/")
    return lines


def _run(record: RunRecord) -> str:
    return f"{record.method}--{record.detector}--s{record.seed}"


def _difference(before: RunRecord, now: RunRecord | None) -> str:
    if now is None:
        return f"{_run(before)}: not repeated"
    changed = []
    for level, old, new in (("image", before.image, now.image), ("instance", before.instance, now.instance)):
        for metric, score in old.items():
            mean = new[metric].mean if metric in new else None
            if mean != score.mean:
                by = "missing" if mean is None or score.mean is None else f"{mean - score.mean:+.2g}"
                changed.append(f"{level} {metric} {by}")
    return f"{_run(before)}: {'differs by ' + ', '.join(changed) if changed else 'equal to the bit'}"
