import pytest

from datamodules.naming import check_pattern, named_key


@pytest.mark.parametrize(
    ("key", "pattern", "wanted"),
    [
        ("fake_0001", "fake_{name}", "0001"),
        ("cats/fake_0001", "fake_{name}", "cats/0001"),
        ("0001_colorized", "{name}_colorized", "0001"),
        ("0001_gray", "{name}_colorized", None),
        ("a_c1_c207", "{name}_c*", "a_c1"),
        ("3_fake_a", "*fake_{name}", "a"),
        ("fake_fake_a", "*fake_{name}", "fake_a"),
        ("_colorized", "{name}_colorized", None),
        ("a+b.v2", "a+{name}", "b.v2"),
        ("aab", "a+{name}", None),
        ("cats/x", "cats{name}", None),
    ],
)
def test_a_file_names_its_picture(key: str, pattern: str, wanted: str | None) -> None:
    assert named_key(key, check_pattern(pattern)) == wanted


@pytest.mark.parametrize("pattern", ["", "fake_", "{name}{name}", "out/{name}", "{nam}"])
def test_a_pattern_says_once_where_the_name_stands(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"wanted \{name\} once"):
        check_pattern(pattern)
