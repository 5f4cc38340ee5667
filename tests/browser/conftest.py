"""Finished runs for pages that a browser opens."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.breakdown import breakdown_csv
from bench.provenance import canonical_digest
from bench.record import build_record
from bench.rows import Row, RowStore, images_csv, instances_csv
from datamodules.protocol import PROTOCOLS


@pytest.fixture(scope="session")
def leave_run() -> Callable[..., Path]:
    """Return a function that leaves rows as a finished run with its tables and gives the run's folder."""

    def leave(
        out: Path,
        dataset: str,
        method: str,
        rows: Mapping[str, Row],
        metrics: tuple[str, ...],
        *,
        partial: bool = False,
    ) -> Path:
        run_id, folder = canonical_digest([dataset, method]), out / "runs" / dataset / f"{method}--none--s0"
        with RowStore(folder, run_id) as store:
            for row in rows.values():
                store.append(row)
        (folder / "images.csv").write_text(images_csv(rows.values(), metrics))
        (folder / "instances.csv").write_text(instances_csv(rows.values(), metrics))
        (folder / "breakdown.csv").write_text(breakdown_csv(rows.values(), metrics))
        record = build_record(
            rows=rows,
            run_id=run_id,
            suite="browser-v1",
            method=method,
            detector="none",
            dataset=dataset,
            protocol=PROTOCOLS["stretch256-v1"],
            seed=0,
            partial=partial,
            untrained=False,
            metrics=metrics,
            digests={"dataset": canonical_digest(dataset), "config": "c" * 64},
            parameters={"full": 34187027},
            device="cpu",
            precision="32",
            processes=1,
            started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            seconds=2.0,
            computed=len(rows),
            peak_memory_mb=512.0,
        )
        (folder / "record.json").write_text(record.to_json(), encoding="utf-8")
        return folder

    return leave
