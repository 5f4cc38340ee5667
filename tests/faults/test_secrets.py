"""What a run writes says nothing of keys, nor of the machine and its user.

Decided otherwise than `faults.md`: a key cannot be given by an option or a file, so that there is nothing to redact,
and there is no `--full-provenance`. wandb's own file holds the places of the files that `wandb sync` is to upload; it
sends the files and not the places. Of a training, TensorBoard puts the host's name into the names of its files, and
wandb paths into its `debug-*.log`.
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
DASHBOARDS = {"wandb", "tensorboard", "mlflow"}


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


def contiguous(path: Path, content: bytes) -> bytes:
    """Return wandb's file without the headers that part its strings, and without the places of files to upload."""
    if path.suffix != ".wandb":
        return content
    joined = b"".join(content[start + 7 : start + 32768] for start in range(0, len(content), 32768))
    return re.sub(rb"[\w/.-]+/artifacts/staging/\w+", b"", joined)


@pytest.mark.slow
def test_dashboards_get_no_secret_and_nothing_of_the_machine(alone: Any, tmp_path: Path) -> None:
    scenes = [{"id": "synthetic", "count": 4, "size": 64}]
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump({**SUITE, "datasets": scenes, "batch_size": 1}))
    (tmp_path / "data-canaryG").mkdir()
    alone.environment = CANARIES | {"WANDB_MODE": "offline", "USER": "canaryH", "LOGNAME": "canaryH"}
    loggers = [word for name in DASHBOARDS for word in ("--logger", name)]
    data = ("--data-root", tmp_path / "data-canaryG")
    done = alone("run", "suite.yaml", "--out", "out", *data, "--devices", 2, *loggers)
    assert done.returncode == 0, done.stderr
    sent = dict(written(tmp_path / "out" / "logs"))
    assert {path.relative_to(tmp_path / "out" / "logs").parts[0] for path in sent} >= DASHBOARDS
    again = alone("replay", "out", *[word for name in sorted(DASHBOARDS) for word in ("--to", name)])
    assert (again.returncode, again.stdout.count("nothing new to send")) == (0, 3), again.stderr
    now = dict(written(tmp_path / "out" / "logs"))
    assert {path: content for path, content in now.items() if path.name != ".sending.lock"} == {
        path: content for path, content in sent.items() if path.name != ".sending.lock"
    }
    assert "canary" not in done.stdout + done.stderr + again.stdout + again.stderr
    personal = [re.escape(str(tmp_path).encode()), rb"(?<!\w)%s(?!\w)" % socket.gethostname().encode()]
    personal.append(rb"/%s/" % getpass.getuser().encode())
    for path, content in written(tmp_path / "out"):
        assert b"canary" not in content, path
        plain = re.sub(rb'"data:[^"]*"', b"", contiguous(path, content))
        assert not [pattern for pattern in personal if re.search(pattern, plain)], path
    assert b"canary" not in b"".join(content for _, content in written(tmp_path / "home"))
    assert alone.calls == ""
