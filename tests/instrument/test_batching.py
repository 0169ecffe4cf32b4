"""Windows score each token once, batches lose nothing, and shared prefixes are really common."""

from hypothesis import given
from hypothesis import strategies as st

from clada_neuro.instrument.batching import plan, split_windows

IDS = st.lists(st.integers(0, 3), min_size=1, max_size=60)
START = st.sampled_from([None, 9])


@given(ids=IDS, start=START, longest=st.integers(4, 30), scored=st.integers(0, 40))
def test_windows_fit_overlap_by_half_and_score_each_token_once(ids, start, longest, scored):
    windows = split_windows(0, ids, start, longest, scored)
    reported = []
    for number, window in enumerate(windows):
        end = windows[number + 1].scored if number + 1 < len(windows) else len(ids)
        reported += list(range(window.scored, end))
        assert len(window.ids) <= longest
        for token in range(window.scored, end):
            assert window.ids[window.input_position(token)] == ids[token]
        if window.first:
            assert window.scored - window.first >= (longest - (start is not None)) // 2
    assert reported == list(range(min(scored, len(ids)), len(ids)))


def test_a_text_that_fits_is_one_window():
    (window,) = split_windows(7, [1, 2, 3], 9, 4)
    assert (window.text, window.ids, window.scored, window.has_start) == (7, (9, 1, 2, 3), 0, True)


@given(texts=st.lists(st.tuples(IDS, st.integers(0, 3)), min_size=1, max_size=20), budget=st.integers(1, 200))
def test_batches_hold_every_window_once_with_its_own_ids(texts, budget):
    windows = [split_windows(number, ids, 9, 1000)[0] for number, (ids, _) in enumerate(texts)]
    batches = plan(windows, [group for _, group in texts], budget)
    assert sorted(window.text for batch in batches for window in batch.windows) == list(range(len(texts)))
    for batch in batches:
        rows = len(batch.windows)
        own = max(len(window.ids) for window in batch.windows) - batch.shared
        padded = rows * own + len(batch.prefixes) * batch.shared
        assert padded <= budget or rows == 1 or len(batch.prefixes) == 1
        for window, parent in zip(batch.windows, batch.parents, strict=True) if batch.prefixes else ():
            assert window.ids[: batch.shared] == batch.prefixes[parent]
            assert len(window.ids) > batch.shared
        for row in range(len(batch.prefixes)):
            family = [w for w, parent in zip(batch.windows, batch.parents, strict=True) if parent == row]
            assert len({window.ids[batch.shared] for window in family}) == 1


def test_conditions_share_what_they_have_in_common():
    ids = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7], [1, 2, 3, 4, 5, 8]]
    windows = [split_windows(number, one, 9, 100)[0] for number, one in enumerate(ids)]
    (batch,) = plan(windows, ["item"] * 3, 100)
    assert batch.prefixes == ((9, 1, 2, 3, 4),)
    assert plan(windows, [1, 2, 3], 100)[0].prefixes == ()
