"""What is known of a study that was answered, as plain values and as files for other programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.files import atomic_write
from bench.perception.analysis import Participant, Results, chosen_of
from bench.perception.answers import Answer
from bench.perception.results import to_markdown
from bench.perception.shares import Share
from bench.perception.strengths import Strength
from bench.tables import Cell, table_to_csv


def to_document(results: Results) -> dict[str, Any]:
    """Return everything as plain values, with all digits."""
    key = results.key
    return {
        "study": key.study,
        "protocol": key.protocol.value,
        "dataset": key.dataset,
        "exposure": key.exposure,
        "answers": len(results.counted),
        "left_out": results.left_out,
        "hidden": results.hidden,
        "checks": _share(results.checks),
        "first_answer": {"answer": key.asked.answers[0], **_share(results.first), "p_value": results.first_p},
        "response": results.response,
        "exposures": asdict(results.exposure),
        "methods": [{"method": name, **_share(share)} for name, share in results.rates],
        "pairs": [{"a": pair.a, "b": pair.b, **_share(pair.share)} for pair in results.pairs],
        "strengths": [_strength(one) for one in results.strengths],
        "no_strengths": results.no_strengths or None,
        "participants": [_participant(one) for one in results.participants],
    }


def _strength(one: Strength) -> dict[str, Any]:
    return {"method": one.name, "strength": one.strength, "error": one.error, "low": one.low, "high": one.high}


def _participant(one: Participant) -> dict[str, Any]:
    return {
        "participant": one.name,
        "session": one.session,
        "answers": one.answered,
        "checks": one.checks,
        "checks_right": one.checks_right,
        "response": one.response,
        "first_share": one.first_share,
        "excluded": one.reason or None,
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "count": share.count,
        "n": share.total,
        "share": share.share,
        "error": share.error,
        "low": share.low,
        "high": share.high,
    }


def write_results(folder: Path, results: Results) -> None:
    """Write `results.md`, one CSV file a table, and `answers.csv`: the counted answers with what each was about."""
    document = to_document(results)
    tables = {
        "rates": document["methods"],
        "preferences": document["pairs"],
        "strengths": document["strengths"],
        "participants": document["participants"],
        "answers": [_answer_line(answer) for answer in results.counted],
    }
    atomic_write(folder / "results.md", to_markdown(results))
    for name, lines in tables.items():
        path = folder / f"{name}.csv"
        if lines:
            atomic_write(path, _to_csv(lines))
        else:
            path.unlink(missing_ok=True)


def _to_csv(lines: Sequence[Mapping[str, Cell]]) -> str:
    return table_to_csv(list(lines[0]), [list(line.values()) for line in lines])


def _answer_line(answer: Answer) -> dict[str, Cell]:
    return {
        "participant": answer.participant,
        "session": answer.session,
        "place": answer.place,
        "image": answer.trial.image,
        "first": answer.trial.shown[0],
        "second": answer.trial.shown[1] if len(answer.trial.shown) > 1 else None,
        "answer": answer.answer,
        "chosen": chosen_of(answer) if len(answer.trial.shown) > 1 else None,
        "response": answer.response,
        "exposure": answer.exposures[0] if answer.exposures else None,
    }
