"""Repeat a study: its trainings in processes of their own, its suite, and the page that tells of both."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.catalog import known
from bench.errors import CommandError, UsageError
from bench.leaderboard import read_record, record_paths
from bench.plan import Places
from bench.prepare import Options
from bench.progress import Advance, progress, say
from bench.provenance import git_state
from bench.record import RunRecord
from bench.studies.compare import TOLERANCE, differences
from bench.studies.costs import COST, Cost, check_made, read_cost
from bench.studies.declared import Declared, Training, load_study
from bench.studies.files import collect, read_records
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
    trainings = declared.study.needed([method for method in declared.suite.methods if method.name in chosen])
    out = place.work / "run"
    if place.only is None:
        check_checkout(declared, place)
    elif git_state()[1]:
        say("note: the packages differ from their commit; records and trainings will say so, and no page can use them")
    train_all(declared, trainings, place)
    places = Places(place.work, place.data_root)
    failed = run(declared.suite, Options(out, places, only=chosen, devices=place.jobs, save_images=True))
    compare(read_records(folder), out, chosen, strict=place.only is not None)
    if place.only is None:
        check_whole(declared, place)
        collect(declared, place.work, place.data_root)
        say(f"page: {write_page(declared)}")
    return failed


def compare(committed: Sequence[RunRecord], out: Path, chosen: Sequence[str], strict: bool) -> None:
    """Tell how the runs differ from the study's records.

    Raises:
        CommandError: `strict`, and a run was not repeated or has a mean that differs by more than the tolerance.
    """
    if not committed:
        say("note: the study holds no records yet, so there is nothing to compare with")
    compared = differences(committed, out, chosen)
    for line in compared:
        say(line.text)
    far = sum(not line.near for line in compared)
    if strict and far:
        raise CommandError(
            f"{far} of {len(compared)} runs are not as the study's records have them: not repeated, or with a mean "
            f"score that differs by more than {TOLERANCE:.0%}; look above for which"
        )


def check_checkout(declared: Declared, place: Workplace) -> None:
    """Refuse to begin what could not become a page.

    Raises:
        CommandError: The checkout has uncommitted changes.
        UsageError: A training that is there already was made by such a one, or by a commit outside this history.
    """
    commit, dirty = git_state()
    if dirty:
        raise CommandError(
            "the packages differ from their commit, so nobody else could repeat the study and its page would not be "
            "written: commit first, or try one method with --only"
        )
    check_made(_folders(declared, place), [commit])


def check_whole(declared: Declared, place: Workplace) -> None:
    """Refuse records that are not all of one commit, and trainings outside its history: nobody could repeat them.

    Raises:
        CommandError: A record is of a checkout with uncommitted changes, or they are of several commits.
        UsageError: A training was made by a checkout with uncommitted changes, or by a commit outside that history.
    """
    out = place.work / "run"
    records = [read_record(path) for path in record_paths(out)]
    dirty = [f"{record.method}--{record.detector}--s{record.seed}" for record in records if record.git_dirty]
    commits = sorted({record.git_commit for record in records if record.git_commit})
    if dirty or len(commits) > 1:
        of = f"a checkout with uncommitted changes, such as {dirty[0]}" if dirty else f"{len(commits)} commits"
        raise CommandError(
            f"the records in {out} are of {of}: commit, delete {out} and start again; trainings are kept"
        )
    check_made(_folders(declared, place), commits)


def _folders(declared: Declared, place: Workplace) -> list[Path]:
    return [
        place.work / "trained" / each.run(seed) for each in declared.study.trainings for seed in declared.study.seeds
    ]


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
    if not cost.done:
        _train(command(declared, training, seed, place), out, cost, running)
    advance()


def _cost(out: Path, declared: str) -> Cost:
    """Return what is known of a training; `declared` is the digest of what it is to be.

    Raises:
        UsageError: The folder holds a training that was declared otherwise.
    """
    if not (out / COST).is_file():
        return Cost(declared=declared)
    cost = read_cost(out)
    if cost.declared != declared:
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


def _train(arguments: Sequence[str], out: Path, cost: Cost, running: "set[subprocess.Popen[bytes]]") -> None:
    """Run one command to its end; what it prints goes to `training.log`, its start and its CPU seconds to `cost.json`.

    Raises:
        CommandError: It ended with another status than 0.
    """
    out.mkdir(parents=True, exist_ok=True)
    cost = cost.started()
    cost.save(out)
    log_file = out / "training.log"
    with log_file.open("ab") as log:
        settings = os.environ | {"OMP_NUM_THREADS": "1"}
        child = subprocess.Popen([*COMMAND, *arguments], env=settings, stdout=log, stderr=log)  # noqa: S603 - our own
        running.add(child)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        running.discard(child)
    cost.ended(usage.ru_utime + usage.ru_stime, done=child.returncode == 0).save(out)
    if child.returncode != 0:
        said = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or [
            "it printed nothing"
        ]
        raise CommandError(f"{out.name} ended with status {child.returncode}: {said[0]}; see {log_file}")
