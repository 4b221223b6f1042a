"""The examples of policies are valid, say what comes of them, and are what the README shows."""

from pathlib import Path

import pytest

from tests.examples.policy_chapter import BEGIN, END, ROOT, Example, chapter, examples, gets

EXAMPLES = examples()


def test_there_are_examples_and_each_has_a_table() -> None:
    assert len(EXAMPLES) >= 4
    assert all(example.table and example.words for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.path.stem for example in EXAMPLES])
def test_what_an_example_says_comes_of_it(example: Example) -> None:
    found = [(who, asks, gets(example.policy, who, asks)) for who, asks, _ in example.table]
    assert found == example.table


def test_the_readme_shows_the_examples_as_they_are() -> None:
    readme = Path(ROOT, "README.md").read_text()
    shown = readme.partition(BEGIN)[2].partition(END)[0]
    assert shown == f"\n{chapter()}", "run `python -m tests.examples.policy_chapter --write README.md`"
