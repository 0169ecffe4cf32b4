import pandas as pd

from clada_neuro.questions.page import markdown


def test_a_bar_in_a_cell_or_header_opens_no_column():
    lines = markdown(pd.DataFrame({"a|b": ["y ~ x + (1|item)", "two\nlines"], "n": [1.5, 2.0]})).splitlines()
    assert lines == ["| a\\|b | n |", "| --- | --- |", "| y ~ x + (1\\|item) | 1.5 |", "| two lines | 2 |"]
