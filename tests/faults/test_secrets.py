"""What a run writes says nothing of keys, nor of the machine and its user.

Decided otherwise than `faults.md`: a key cannot be given by an option or a file, so that there is nothing to redact,
and there is no `--full-provenance`. TensorBoard puts the host's name into the names of its own files in `logs`, which
no function of it can change, and wandb writes local paths into its `debug-*.log`, which it sends to nobody. The files
of a run have neither.
"""

import getpass
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.plan import Places
from bench.prepare import Options
from bench.runner import run
from bench.suite import Suite

CANARIES = {
    "WANDB_API_KEY": "canaryA23456789canaryA23456789canaryA2345",
    "HF_TOKEN": "hf_canaryB",
    "AWS_SECRET_ACCESS_KEY": "canaryC/with+signs",
    "MLFLOW_TRACKING_PASSWORD": "canaryD",
    "HTTPS_PROXY": "http://jane:canaryE@proxy.example.org:8080",
    "DATABASE_URL": "postgresql://jane:canaryF@db.example.org/x",
}
SUITE = {
    "name": "secret-v1",
    "methods": ["gray"],
    "datasets": [{"id": "synthetic", "count": 1, "size": 64}],
    "metrics": ["psnr"],
}


def written(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below a folder with its name and content as bytes."""
    for path in root.rglob("*"):
        if path.is_file():
            yield path, str(path.relative_to(root)).encode() + b"\n" + path.read_bytes()


def test_a_run_writes_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "data-canaryG"
    root.mkdir()
    assert run(Suite.model_validate(SUITE), Options(tmp_path / "out", Places(root, root), download=False)) == 0
    files = list(written(tmp_path / "out"))
    assert len(files) > 8
    for path, content in files:
        assert b"canary" not in content, path.name


@pytest.mark.slow
def test_dashboards_get_no_secret_and_nothing_of_the_machine(alone: Any, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    (tmp_path / "data-canaryG").mkdir()
    alone.environment = CANARIES | {"WANDB_MODE": "offline", "USER": "canaryH", "LOGNAME": "canaryH"}
    dashboards = ("--logger", "wandb", "--logger", "tensorboard")
    done = alone("run", "suite.yaml", "--out", "out", "--data-root", tmp_path / "data-canaryG", *dashboards)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    kinds = {path.relative_to(tmp_path / "out").parts[1] for path in (tmp_path / "out" / "logs").rglob("*")}
    assert kinds >= {"tensorboard", "wandb"}
    personal = [re.escape(str(tmp_path).encode()), rb"(?<!\w)%s(?!\w)" % socket.gethostname().encode()]
    personal.append(rb"/%s/" % getpass.getuser().encode())
    for path, content in written(tmp_path / "out"):
        assert b"canary" not in content, path
        if path.name.startswith("debug-"):
            continue
        if "tensorboard" in path.parts:
            content = content.replace(f".{socket.gethostname()}.".encode(), b"")
        plain = re.sub(rb'"data:[^"]*"', b"", content)
        assert not [pattern for pattern in personal if re.search(pattern, plain)], path
    assert b"canary" not in b"".join(content for _, content in written(tmp_path / "home"))
    assert alone.calls == ""
