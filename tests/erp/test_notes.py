"""What is the same of many is said once, with whom it is about."""

from clada_neuro.erp.notes import together


def test_all_some_and_one_are_named():
    notes = (
        [(f"{k:02d}", "no filter") for k in range(6)]
        + [(f"{k:02d}", "rough") for k in range(5)]
        + [("03", "flat")]
    )
    assert together([*notes, ("03", "flat")], "subject", 6) == [
        "all 6 subjects: no filter", "subjects 00, 01, 02 and 2 more: rough", "subject '03': flat",
    ]  # fmt: skip
    assert together([("01", "rough")], "subject", 1) == ["subject '01': rough"]
    assert together([], "subject", 0) == []
