"""Trials as tasks of a Ray cluster: one that runs already, or one of this process alone."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def check_ray() -> None:
    """Raise ValueError where Ray is not installed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise ValueError("the backend ray needs the package ray: pip install 'cate_hf[ray]'") from None


def run_on_ray(function: Callable[..., Any], arguments: Iterable[tuple], jobs: int) -> Iterator[Any]:
    """What `function` gives for each of the arguments, as they are finished; at most `jobs` at a time.

    joblib's own Ray backend gives results only when all are there, so that no progress could be told.

    The cluster is that of the environment variable RAY_ADDRESS, "auto" for the one that `ray start --head` started
    here; without it, a local one is started, and stopped at the end.

    Raises:
        ValueError: the cluster is not there, or a worker died; no work begins again by itself.
        whatever the function raises.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send them over the network
    import ray
    from ray.exceptions import RayError, RayTaskError

    address = os.environ.get("RAY_ADDRESS")
    ours = not ray.is_initialized()
    if ours:
        where = {"address": address} if address else {"address": "local", "num_cpus": jobs, "include_dashboard": False}
        try:
            ray.init(**where, log_to_driver=False, logging_level="error")
        except (RayError, ConnectionError, ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"no Ray cluster at {address or 'this machine'}: {reason}") from None
    task = ray.remote(max_retries=0)(function)
    waiting = iter(arguments)
    running: list[Any] = []
    try:
        while True:
            while len(running) < jobs and (next_one := next(waiting, None)) is not None:
                running.append(task.remote(*next_one))
            if not running:
                return
            (done,), running = ray.wait(running, num_returns=1)
            try:
                result = ray.get(done)
            except RayTaskError as error:
                raise (error.cause or error) from None
            except RayError as error:
                raise ValueError(
                    f"a Ray worker ended in the middle of a trial ({type(error).__name__}); finished trials are kept, "
                    "the same command goes on from them"
                ) from None
            yield result
    finally:
        if ours:
            ray.shutdown()
