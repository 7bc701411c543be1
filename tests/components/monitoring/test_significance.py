"""What chance alone does is not called drift, however many columns there are."""

import numpy as np
import pytest

from components.monitoring.significance import chance_of, discoveries


def test_the_p_value_of_unchanged_columns_is_spread_evenly_and_that_of_moved_ones_is_small():
    """Of 400 pairs of samples from one source, about a twentieth is below 0.05; one that moved is far below."""
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefgh"), dtype=object)

    numbers = [chance_of(rng.normal(0, 1, 300), rng.normal(0, 1, 500)) for _ in range(400)]
    categories = [chance_of(rng.choice(letters, 300), rng.choice(letters, 500)) for _ in range(400)]
    moved = chance_of(rng.normal(0.3, 1, 1_000), rng.normal(0, 1, 1_000))
    rarer = chance_of(rng.choice(letters[:6], 300), rng.choice(letters, 500))

    # 20 of 400 are expected; three standard deviations are 13. The first test is a little cautious on small samples.
    assert 7 <= sum(chance <= 0.05 for chance in numbers) <= 33
    assert 7 <= sum(chance <= 0.05 for chance in categories) <= 33
    assert moved < 1e-6
    assert rarer < 1e-6


def test_missing_numbers_are_left_out_and_one_category_alone_is_no_move():
    """Missing shares are looked at by themselves."""
    values = np.arange(100.0)
    holed = np.where(values % 2 == 0, np.nan, values)
    same = np.array(["(other)"] * 50, dtype=object)

    assert chance_of(holed, values) > 0.9
    assert chance_of(same, same[:10]) == 1


def test_false_discoveries_are_controlled_over_all_columns():
    """Of 40 columns that did not move, two would be below 0.05 by chance; one that did stands out all the same."""
    calm = {f"calm {rank}": rank / 40 for rank in range(1, 41)}

    assert discoveries(calm, 0.05) == set()
    assert discoveries(calm | {"moved": 1e-9, "moved too": 2e-3}, 0.05) == {"moved", "moved too"}
    assert discoveries({}, 0.05) == set()


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_the_share_is_the_limit(share: float):
    """The rank-th smallest of n p-values may be at most share * rank / n (Benjamini and Hochberg 1995)."""
    chances = {"a": share / 3, "b": 2 * share / 3, "c": 0.9}

    assert discoveries(chances, share) == {"a", "b"}
    assert discoveries({name: chance * 1.01 for name, chance in chances.items()}, share) == set()
