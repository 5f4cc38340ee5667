"""LaTeX tables: every text is only text, and what is made compiles."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.breakdown_board import render_breakdowns
from bench.catalog import HERE
from bench.latex import COLUMN_WIDTH, TEXT_WIDTH, escape_latex, to_latex
from bench.leaderboard import format_boards, render
from bench.ranking import rank_records
from bench.record import RunRecord
from bench.sheet import Sheet, SheetCell, SheetLine
from bench.studies.files import read_records
from bench.studies.page import rank
from bench.terminal import visible

Finish = Callable[..., RunRecord]
STUDY = HERE.parent / "results/studies/small-v1"
NAMED = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textasciigrave": "`",
}
TOKEN = re.compile(r"\\([a-z]+)\{\}|\\([&%$#_{}])|\{\\char(\d+)\}|\{([\[\]*]?)\}|([^\\&%$#_{}~^<>|\"\[\]*`])")
"""What text may be made of: commands without arguments, escaped signs, guarded signs, empty groups, plain letters."""
HOSTILE = (
    r"\input{/etc/passwd}",
    "100 % & $x_1^2$ #~{}",
    "a--b---c ''d'' ,,e,, ?`f",
    "[2pt] *[3pt]",
    '<img src=x> "q" |',
    "Zoë Łódź Čapek ħ",
    "中文 😀 \u202eevil\u202c \x1b[31m\n\\end{table}",
    "^^5c^^5cend{document}",
)


def read_back(latex: str) -> str:
    """Return the text that LaTeX would set, read sign by sign."""
    text, place = [], 0
    while place < len(latex):
        token = TOKEN.match(latex, place)
        assert token, f"{latex[place:]!r} is no plain text"
        name, sign, number, guarded, letter = token.groups()
        text.append(NAMED[name] if name else chr(int(number)) if number else sign or guarded or letter or "")
        place = token.end()
    return "".join(text)


@given(st.text(st.characters(max_codepoint=0x7E), max_size=30) | st.sampled_from(HOSTILE[:5]))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_ascii_reads_back(text: str) -> None:
    assert read_back(escape_latex(text)) == visible(text).replace("\N{REPLACEMENT CHARACTER}", "U+FFFD")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_what_fonts_lack_is_written_as_its_code_point(text: str) -> None:
    for sign in escape_latex(text):
        assert sign <= "\N{LATIN SMALL LETTER Z WITH CARON}"
        assert sign.isprintable()


def test_no_two_signs_are_drawn_as_one() -> None:
    for pair in ("--", "''", ",,"):
        assert pair not in escape_latex(f"a{pair}{pair[0]}b")
    assert "`" not in escape_latex("?`")


def test_places_are_marked_and_unranked_lines_stand_below_a_rule() -> None:
    cells = [SheetCell("30.00", "[29.00, 31.00]", 1)], [SheetCell("20.00", "", 2)], [SheetCell("90.00")]
    lines = [SheetLine(line, dim=index == 2) for index, line in enumerate(cells)]
    text = to_latex("Leaderboard", [[Sheet("a_b", ["PSNR [dB] ↑"], lines, ["n: images."], "column")]] * 2)
    rows = text.split(r"\begin{tabular}{@{}r@{}}")[1].splitlines()[1:]
    assert rows[:10] == [
        r"\toprule",
        r"PSNR {[}dB{]} $\uparrow$ \\",
        r"\midrule",
        r"\textbf{30.00} \\",
        r"{\scriptsize {[}29.00, 31.00{]}} \\",
        r"\addlinespace[2pt]",
        r"\underline{20.00} \\",
        r"\midrule",
        r"90.00 \\",
        r"\bottomrule",
    ]
    assert "Bold: best of its column; underlined: second best. n: images." in text
    assert [line for line in text.splitlines() if "label" in line] == [r"\label{tab:a-b}", r"\label{tab:a-b-2}"]


def test_each_dataset_and_level_has_its_table(tmp_path: Path, finish_run: Finish) -> None:
    for dataset in ("one", "two"):
        finish_run(tmp_path, {"a": {"psnr": 20.0, "ssim": 0.5}}, dataset=dataset)
    text = render([tmp_path], "latex")
    assert text.startswith("% Leaderboard\n% Needs \\usepackage[T1]{fontenc}, \\usepackage{booktabs}")
    assert [line for line in text.splitlines() if line.startswith(r"\caption")] == [
        rf"\caption{{{dataset}, stretch256-v1, {level}}}"
        for dataset in ("one", "two")
        for level in ("whole images", "instances")
    ]
    assert r"\caption{one, stretch256-v1, instances, PSNR {[}dB{]} $\uparrow$ by size}" in render_breakdowns(
        [tmp_path], "latex", "size"
    )


def board(*headings: str, **said: str) -> Sheet:
    cells = {"rank": "1", "method": "gray", "detector": "none", "seeds": "2", "n": "122"} | said
    lines = [SheetLine([SheetCell(cells.get(name, f"0.{number}")) for name in headings]) for number in (7, 8)]
    return Sheet("board", headings, lines, [], "column")


def test_columns_in_which_all_lines_say_the_same_become_a_sentence() -> None:
    text = to_latex("Leaderboard", [[board("rank", "method", "detector", "seeds", "n", "PSNR")]])
    assert r"rank & method & PSNR \\" in text
    assert "1 & gray & 0.7" in text
    assert "Throughout: seeds = 2, n = 122." in text
    text = to_latex("Leaderboard", [[board("method", "detector", "PSNR", detector="yolo")]])
    assert r"method & detector & PSNR \\" in text
    assert "Throughout" not in text


def test_a_wide_table_goes_over_both_columns_or_takes_its_narrower_version() -> None:
    narrow, wide = board("method", "PSNR"), board("method", *(f"a long heading {number}" for number in range(5)))
    too_wide = board("method", *(f"a long heading {number}" for number in range(20)))
    assert r"\begin{table}[tp]" in to_latex("", [[narrow]])
    assert r"\begin{table*}[tp]" in to_latex("", [[wide, narrow]])
    assert to_latex("", [[too_wide, wide, narrow]]) == to_latex("", [[wide]])
    assert to_latex("", [[too_wide, too_wide]]) == to_latex("", [[too_wide]])


def compiled(body: str, folder: Path, options: str = "") -> Path:
    """Set a document with pdfLaTeX and return it; fails with its log where there was an error or a line stuck out."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on the path: install the distribution's texlive-latex-recommended")
    packages = "\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\usepackage{graphicx}"
    document = f"\\documentclass{options}{{article}}{packages}\\begin{{document}}\n{body}\\end{{document}}\n"
    (folder / "tables.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"]
    result = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    log = (folder / "tables.log").read_text(encoding="utf-8", errors="replace")
    assert result.returncode == 0, log[-3000:]
    assert "Overfull \\hbox" not in log
    return folder / "tables.pdf"


@pytest.mark.latex
def test_the_small_study_compiles(tmp_path: Path) -> None:
    boards = rank(STUDY, read_records(STUDY))
    assert compiled(format_boards(boards, "latex"), tmp_path).stat().st_size > 10_000


@pytest.mark.latex
def test_tables_over_both_columns_fit_a_page_unshrunk(tmp_path: Path) -> None:
    boards = rank(STUDY, read_records(STUDY))
    body = re.sub(r"\\resizebox.*%", r"\\sbox0{%", format_boards(boards, "latex"))
    assert body.count(r"\begin{table*}") == len(boards)
    compiled(body.replace(r"\end{tabular}}", r"\end{tabular}}\typeout{WIDTH \the\wd0}"), tmp_path, "[twocolumn]")
    widths = re.findall(r"WIDTH ([\d.]+)pt", (tmp_path / "tables.log").read_text())
    assert len(widths) == len(boards)
    assert all(COLUMN_WIDTH < float(width) <= TEXT_WIDTH for width in widths), widths


@pytest.mark.latex
def test_hostile_names_compile_and_are_read_from_the_page(tmp_path: Path, finish_run: Finish) -> None:
    record = finish_run(tmp_path, {"a": {"psnr": 20.0, "ssim": 0.5}})
    records = [record.model_copy(update={"method": name, "dataset": name, "run_id": name}) for name in HOSTILE]
    records += [record.model_copy(update={"method": chr(sign) * 2, "run_id": chr(sign)}) for sign in range(0xA0, 0x250)]
    page = compiled(format_boards(rank_records(records, levels=["image"]), "latex"), tmp_path)
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", "-layout", page, "-"], capture_output=True, text=True, check=True).stdout
        for words in (
            r"\input{/etc/passwd}",
            "a--b---c",
            "[2pt] *[3pt]",
            "<img src=x>",
            "U+4E2D",
            "^^5c^^5cend{document}",
        ):
            assert words in text


@pytest.mark.latex
def test_breakdowns_compile(tmp_path: Path, finish_run: Finish) -> None:
    for method in ("gray", "other"):
        finish_run(tmp_path, {"a": {"psnr": 20.0, "ssim": 0.5}}, method=method)
    body = "".join(render_breakdowns([tmp_path], "latex", by) for by in ("category", "size", "instances"))
    compiled(body, tmp_path)
