"""Where shards go: a Dask scheduler that runs already, worker processes of this machine, or SLURM jobs.

Dask's messages are pickled: who can reach a scheduler can run code on its workers. Schedulers started here listen on
the loopback address or with certificates of their own; connect to others only where you trust everyone who can.
"""

import logging
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from clada_neuro.errors import DataError

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy.cluster import Cluster

ATTEMPTS = 3  # of a shard, whether it raises or its worker dies
_SETTINGS = {
    "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
    "distributed.admin.large-graph-warning-threshold": "1GB",  # what a part needs, it needs
}
_OPEN: "dict[str, Client]" = {}
_WAIT = 30  # seconds for an answer of a scheduler that should be running
_FORMS = "ADDRESS (tcp://host:8786), local:N or FILE.toml (arguments of dask_jobqueue.SLURMCluster, and jobs)"


@contextmanager
def connected(scheduler: str) -> Iterator["Client"]:
    """Connect to what a ``--scheduler`` option names, starting workers where it says so; stop them on leaving.

    Within a connection to the same, that one is used again: a study connects once for all its stages.

    Parameters
    ----------
    scheduler : str
        ``tcp://host:port`` (or ``tls://``) of a running scheduler; ``local:N`` for N worker processes here; or a TOML
        file with the arguments of `dask_jobqueue.SLURMCluster` and ``jobs``, the number of jobs to submit.

    Raises
    ------
    DataError
        If Dask is not installed, the option cannot be read, or nothing answers at the address.
    """
    if scheduler in _OPEN:
        yield _OPEN[scheduler]
        return
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise DataError("--scheduler needs Dask; install it with: pip install 'clada-neuro[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what fails is reported by us, once
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        if count := re.fullmatch(r"local:([1-9]\d*)", scheduler):
            address: Any = stack.enter_context(_local(int(count[1])))
        elif scheduler.endswith(".toml"):
            address = stack.enter_context(_slurm(Path(scheduler)))
        elif re.fullmatch(r"(?!local:)(\w+://)?[^/:\s]+:\d+", scheduler):
            address = scheduler
        else:
            raise DataError(f"--scheduler '{scheduler}' given, {_FORMS} expected")
        try:
            client = stack.enter_context(Client(address, timeout=_WAIT, set_as_default=False))
            client.wait_for_workers(1, None if scheduler.endswith(".toml") else _WAIT)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise DataError(
                f"no scheduler with workers answers at '{scheduler}' ({type(error).__name__}); "
                "start one with: dask scheduler, and dask worker ADDRESS on each machine"
            ) from error
        _OPEN[scheduler] = client
        stack.callback(_OPEN.pop, scheduler)
        yield client


def _local(workers: int) -> "Cluster":
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        security=True,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def _slurm(path: Path) -> "Cluster":
    """Start a scheduler here and submit jobs; workers need no other port than to this machine."""
    from dask_jobqueue import SLURMCluster

    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"--scheduler '{path}' cannot be read ({error}); {_FORMS} expected") from error
    jobs = options.pop("jobs", None)
    if not isinstance(jobs, int) or jobs < 1:
        raise DataError(f"'{path}' has jobs = {jobs!r}; write how many SLURM jobs to submit, jobs = 8")
    try:
        shared = str(path.resolve().parent)  # certificates go from here to the workers
        cluster = SLURMCluster(**{"security": True, "shared_temp_directory": shared, **options})
        cluster.scale(jobs=jobs)
    except (TypeError, ValueError) as error:
        raise DataError(f"'{path}' does not describe SLURM jobs: {error}") from error
    tqdm.write(f"  waiting for the first of {jobs} SLURM jobs (squeue --me lists them)", file=sys.stderr)
    return cluster
