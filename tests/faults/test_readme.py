"""The page of faults names every fault, and tests that are there."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE / "README.md").read_text(encoding="utf-8")
LINES = [line for line in PAGE.splitlines() if re.match(r"\| F\d+ ", line)]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`( \(slow\))?")


def test_every_fault_is_there_once() -> None:
    assert [int(line.split()[1][1:]) for line in LINES] == list(range(1, 61))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[1])
def test_its_tests_are_there(line: str) -> None:
    found = NAMED.findall(line)
    assert found
    for file, name, slow in found:
        tests = {
            node.name: node
            for node in ast.parse((HERE.parent / file).read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef)
        }
        assert name in tests, f"{file} has no {name}"
        marks = [ast.unparse(mark) for mark in tests[name].decorator_list]
        whole = re.search(r"^pytestmark = .*?pytest\.mark\.slow", (HERE.parent / file).read_text(), re.M | re.S)
        assert bool(slow) == ("pytest.mark.slow" in marks or whole is not None), f"{name}: slow or not"
