"""What people read of a study that was answered, on the terminal and as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.perception.analysis import MOST_OFF, Participant, Results
from bench.perception.attention import LEAST_CHECKS, MOST_CHANCE, PASS
from bench.perception.protocols import UNLIMITED, ProtocolId
from bench.perception.shares import Share
from bench.sheet import escape_markdown
from bench.terminal import visible, widen

RATE_TITLES: Mapping[ProtocolId, str] = {
    ProtocolId.preference: "preferred [%]",
    ProtocolId.real_fake: "taken for real [%]",
    ProtocolId.which_real: "fooled [%]",
}
METHOD_NOTES: Mapping[ProtocolId, str] = {
    ProtocolId.preference: "Preferred: share of all pairs with the method in which its picture was chosen.",
    ProtocolId.real_fake: "Taken for real: share of the method's pictures that were said to have real colours.",
    ProtocolId.which_real: "Fooled: share of the method's pictures that were taken for the photograph beside it; "
    "50 % cannot be told from it.",
}
INTERVAL_NOTE = (
    "± is the standard error, for answers of one participant and on one picture that depend on each other; the 95 % "
    "interval is Wilson's for as many independent answers as have that error."
)
STRENGTH_NOTE = (
    "Strength: log odds of Bradley and Terry's model, the mean is 0; a difference of 1 is preferred in 73 % of pairs. "
    "Errors allow for answers of one participant and on one picture that depend on each other, as in the other tables."
)


@dataclass(frozen=True, slots=True)
class Section:
    """Hold one table with its title and a sentence below; the first column holds names."""

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str


def facts(results: Results) -> list[str]:
    """Return what holds for the study as a whole, one sentence an item."""
    key, exposure = results.key, results.exposure
    planned = UNLIMITED if key.exposure is None else f"{key.exposure:g} s"
    lines = [
        f"Study {key.study}: {key.protocol} on {key.dataset}, {key.pictures} pictures, exposure {planned}.",
        participation(results.participants),
        sessions(results),
        f"{len(results.counted)} answers are counted, {results.left_out} left out: {_left_out(results)}.",
        f"Attention checks right: {percent(results.checks)} of {results.checks.total}.",
        f"Exposure: median {exposure.median:.3f} s, from {exposure.shortest:.3f} to {exposure.longest:.3f} s. "
        f"Response: median {results.response:.2f} s.",
    ]
    if key.asked.paired:
        even = "" if results.first_p is None else f" (p = {results.first_p:.2g} that sides are even)"
        lines.append(f"Left was chosen in {percent(results.first)} of the trials{even}.")
    else:
        lines.append(f'"Real" was {percent(results.first)} of the answers.')
    return lines


def participation(participants: Sequence[Participant]) -> str:
    """Return how many took part, how many are not counted and why, and how many did not reach the end."""
    excluded = [one for one in participants if one.reason]
    stopped = sum(one.stopped for one in excluded)
    unfinished = sum(one.answered < one.planned for one in participants)
    return (
        f"{len(participants)} participants, {len(excluded)} excluded: {len(excluded) - stopped} for the attention "
        f"checks, of which {100 * PASS:.0f} % must be right, and so many that clicks at random get there in "
        f"{100 * MOST_CHANCE:.0f} % of the cases at most; {stopped} for stopping before {LEAST_CHECKS} of them; "
        f"{unfinished} not to the end."
    )


def sessions(results: Results) -> str:
    """Return how evenly the sessions were taken, because the balance of pictures and sides hangs on that."""
    taken = Counter(one.session for one in results.participants if not one.reason)
    once = sum(count == 1 for count in taken.values())
    nobody = results.key.participants - len(taken)
    return (
        f"Of {results.key.participants} sessions, {once} are counted of one participant, {len(taken) - once} of "
        f"several, {nobody} of nobody."
    )


def _left_out(results: Results) -> str:
    hidden = f"{results.hidden} with the page out of sight"
    if results.key.exposure is None:
        return hidden
    return f"{hidden}, the others off by more than {MOST_OFF:g} s or begun again"


def sections(results: Results) -> list[Section]:
    """Return the tables that are shown."""
    protocol = results.key.protocol
    rates = [[name, *share_cells(share)] for name, share in results.rates]
    found = [
        Section(
            "Methods",
            ["method", RATE_TITLES[protocol], "±", "interval [%]", "answers"],
            rates,
            f"{METHOD_NOTES[protocol]} {INTERVAL_NOTE}",
        )
    ]
    if protocol is ProtocolId.preference:
        found += [matrix(results), _strengths(results)]
    return [*found, _participants(results)]


def percent(share: Share) -> str:
    """Return a share in per cent."""
    return "none" if share.share is None else f"{100 * share.share:.1f} %"


def share_cells(share: Share) -> list[str]:
    """Return share, standard error, interval in per cent, and the number of answers."""
    value = "—" if share.share is None else f"{100 * share.share:.1f}"
    error = "—" if share.error is None else f"{100 * share.error:.1f}"
    return [value, error, interval(share), str(share.total)]


def interval(share: Share) -> str:
    """Return the interval of a share in per cent, a dash where there is none."""
    return "—" if share.low is None or share.high is None else f"{100 * share.low:.1f} to {100 * share.high:.1f}"


def matrix(results: Results) -> Section:
    """Return how often the method of the line was preferred to that of the column."""
    names = results.key.methods
    cells = {(pair.a, pair.b): pair.share for pair in results.pairs}

    def cell(a: str, b: str) -> str:
        share = cells.get((a, b)) or _mirrored(cells.get((b, a)))
        if share is None or share.share is None:
            return "—"
        ends = "" if share.low is None or share.high is None else f" ({100 * share.low:.0f}-{100 * share.high:.0f})"
        return f"{100 * share.share:.0f}{ends}"

    lines = [[f"{place} {name}", *(cell(name, other) for other in names)] for place, name in enumerate(names, 1)]
    note = "Per cent of the pairs in which the method of the line was preferred to that of the column, with interval."
    return Section("Preferences", ["method", *(str(place) for place in range(1, len(names) + 1))], lines, note)


def _mirrored(share: Share | None) -> Share | None:
    """Return the share of the other answer."""
    if share is None:
        return None
    low, high = (None if end is None else 1 - end for end in (share.high, share.low))
    return Share(share.total - share.count, share.total, share.error, low, high)


def _strengths(results: Results) -> Section:
    lines = [
        [one.name, f"{one.strength:+.2f}", f"{one.error:.2f}", f"{one.low:+.2f} to {one.high:+.2f}"]
        for one in results.strengths
    ]
    note = f"No strengths can be given: {results.no_strengths}." if results.no_strengths else STRENGTH_NOTE
    return Section("Strengths", ["method", "strength", "±", "interval"], lines, note)


def _participants(results: Results) -> Section:
    first = "left [%]" if results.key.asked.paired else "real [%]"
    lines = [
        [
            one.name,
            str(one.session),
            str(one.answered),
            f"{one.checks_right}/{one.checks}",
            f"{100 * one.first_share:.0f}",
            f"{one.response:.2f}",
            "excluded" if one.reason else "",
        ]
        for one in results.participants
    ]
    headings = ["participant", "session", "answers", "checks", first, "response [s]", "note"]
    return Section("Participants", headings, lines, "")


def print_results(results: Results, console: Console | None = None) -> None:
    """Print everything as tables."""
    console = widen(console or Console(highlight=False))
    for line in facts(results):
        console.print(Text(visible(line)), soft_wrap=True)
    for section in sections(results):
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(_terminal_table(section, console))
        console.print(Text(visible(section.note), style="dim"), soft_wrap=True)


def _terminal_table(section: Section, console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII2, pad_edge=False)
    for place, name in enumerate(section.headings):
        table.add_column(Text(visible(name)), justify="right" if place else "left", overflow="fold")
    for line in section.lines:
        table.add_row(*(Text(visible(cell)) for cell in line))
    return table


def to_markdown(results: Results) -> str:
    """Return the same as a Markdown file."""
    parts = ["# User study\n", *(f"- {escape_markdown(line)}" for line in facts(results))]
    for section in sections(results):
        rules = [":--", *["--:"] * (len(section.headings) - 1)]
        rows = [section.headings, rules, *section.lines]
        parts.append(f"\n## {section.title}\n")
        parts += [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
        parts += [f"\n{escape_markdown(section.note)}"] if section.note else []
    parts.append(f"\n{escape_markdown(results.key.asked.source)}")
    return "\n".join(parts) + "\n"
