"""YAML whose values stay what was written, with the line of everything."""

from __future__ import annotations

import pytest
import yaml

from napari_stinr.config.yaml_words import Verbatim, parse_words
from napari_stinr.errors import StinrError

TEXT = """\
first-name: off
angles: -60:2
list: [1, "null", null]
nothing:
inner:
  yes: 0x10
  config: {a: 1, b: [off, 2.0]}
"""


def test_values_stay_text_where_yaml_would_make_numbers_of_base_60_and_truth_values() -> None:
    assert yaml.safe_load(TEXT)["angles"] == -3602
    words = parse_words(TEXT, name="jobs.yaml", verbatim="config")
    assert words.values["first_name"] == "off"
    assert words.values["angles"] == "-60:2"
    assert words.values["list"] == ["1", "null", None]
    assert words.values["nothing"] is None
    assert words.values["inner"]["yes"] == "0x10"


def test_what_stays_yaml_means_the_same() -> None:
    config = parse_words(TEXT, name="jobs.yaml", verbatim="config").values["inner"]["config"]
    assert isinstance(config, Verbatim)
    assert yaml.safe_load(config) == {"a": 1, "b": [False, 2.0]}


def test_the_line_of_a_value_or_of_what_it_would_stand_in() -> None:
    words = parse_words(TEXT, name="jobs.yaml", verbatim="config")
    assert words.line(("inner", "yes")) == 6
    assert words.line(("inner", "missing")) == 5
    assert words.line(("list", 1)) == 3
    assert words.line(("missing",)) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3", "jobs.yaml line 3 gives a once more"),
        ("some-name: 1\nsome_name: 2", "line 2 gives some_name once more"),
        ("a: &x 1\nb: *x", "has an anchor or alias"),
        ("a: [1", "is not YAML"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("- a\n- b", "holds no names with values"),
        ("", "holds no names with values"),
        ("? [1, 2]\n: 3", "line 1 has no name"),
        ("a: " + 5000 * "x", "a value of 5000 letters"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(text: str, says: str) -> None:
    with pytest.raises(StinrError) as caught:
        parse_words(text, name="jobs.yaml")
    assert says in str(caught.value)


def test_names_that_are_there_twice_are_found_in_what_stays_yaml_too() -> None:
    with pytest.raises(StinrError, match="line 4 gives steps once more"):
        parse_words("config:\n  training:\n    steps: 1\n    steps: 2", name="jobs.yaml", verbatim="config")
