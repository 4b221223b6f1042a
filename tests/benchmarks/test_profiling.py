"""A profile is made of folded stacks: what is counted where."""

from benchmarks.profiling import LOOP, summary, tables

FOLDED = f"""main (cli.py:3);{LOOP[:-1]}:9);serve (a.py:1);read (b.py:5) 6
main (cli.py:3);{LOOP[:-1]}:9);serve (a.py:2);serve (a.py:1) 2
main (cli.py:3);{LOOP[:-1]}:9) 1
worker (c.py:1) 1
"""


def test_a_function_counts_once_a_stack_whatever_its_lines() -> None:
    inclusive, own, total = summary(FOLDED)
    assert total == 10
    assert inclusive["serve (a.py)"] == 8
    assert (own["read (b.py)"], own["serve (a.py)"], own["worker (c.py)"]) == (6, 2, 1)


def test_what_only_leads_to_the_loop_is_left_out() -> None:
    inclusive, own, _ = summary(FOLDED)
    assert "main (cli.py)" not in inclusive
    assert own[LOOP] == 1


def test_the_tables_begin_with_what_holds_most() -> None:
    text = tables(FOLDED)
    assert "10 samples." in text
    assert text.index("| 80.0 | serve (a.py) |") < text.index("| 60.0 | read (b.py) |")
