"""A scheduler with two worker processes on the loopback address, and words for sentences."""

from distributed import LocalCluster

ANIMALS = ("sailor", "baker", "Bäcker", "children", "crowd", "owner")


def two_workers() -> LocalCluster:
    return LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", memory_limit=0, dashboard_address="127.0.0.1:0"
    )
