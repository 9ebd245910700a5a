"""Who computes: this process, worker processes on all cores, or the workers of a Dask cluster.

Each takes points and yields one line for the record per point, in whatever order they come. An exception of the
scenario's is part of the line; a worker that dies is told as the failure of the point it died of.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from importlib.metadata import packages_distributions
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any
from urllib.parse import urlsplit

from simvlan.errors import Unsupported
from simvlan.sweep.guard import refuse_unguarded
from simvlan.sweep.plan import Point, Scenario, plain

Line = dict[str, Any]
Lines = Generator[Line, None, None]
PR_SET_PDEATHSIG = 1
CONNECT_S = 15
"""How long a scheduler is waited for."""


def compute(scenario: Scenario, point: Point) -> Line:
    """Compute one point; returns its line for the record."""
    begin = time.perf_counter()
    line: Line = {"key": point.key, "params": point.params, "repeat": point.repeat, "seed": point.seed}
    try:
        line["rows"] = _rows(scenario(**point.params, seed=point.seed), point)
    except (Exception, SystemExit) as error:  # whatever a scenario does wrong is told with its parameters
        line["error"] = f"{type(error).__name__}: {error}"
        line["traceback"] = traceback.format_exc()
    line["seconds"] = round(time.perf_counter() - begin, 3)
    return line


def _rows(result: Any, point: Point) -> list[Line]:
    rows = result if isinstance(result, list) else [result]
    for row in rows:
        if not isinstance(row, dict):
            raise TypeError(f"the scenario returned {row!r}: a dictionary is expected, or a list of them")
    made = [{name: plain(value, f"result {name}") for name, value in row.items()} for row in rows]
    given = {**point.params, "seed": point.seed, "repeat": point.repeat}
    for name, value in ((name, value) for row in made for name, value in row.items() if name in given):
        if value != given[name]:
            raise ValueError(f"the scenario returned {name}={value!r}, and {name} is a parameter: give it another name")
    return made


def died(point: Point, what: str) -> Line:
    """Return the line of a point whose worker did not come back."""
    error = f"{what}: out of memory, or killed"
    return {"key": point.key, "params": point.params, "repeat": point.repeat, "seed": point.seed, "error": error}


def here(scenario: Scenario, points: Sequence[Point]) -> Lines:
    """Compute in this process, one after the other."""
    for point in points:
        yield compute(scenario, point)


# -- processes ------------------------------------------------------------------------------------------------------


def processes(scenario: Scenario, points: Sequence[Point], workers: int) -> Lines:
    """Compute in worker processes. What was under way when one of them died is asked again, one point at a time.

    Raises:
        TypeError: the scenario cannot be handed to another process.
    """
    _portable(scenario)
    refuse_unguarded()
    suspects: list[Point] = []
    rest = iter(points)
    while left := list(rest):
        rest = iter(left)
        yield from _together(scenario, rest, workers, suspects)
        for point in suspects:
            yield from _alone(scenario, point)
        suspects.clear()


def _portable(scenario: Scenario) -> None:
    try:
        pickle.dumps(scenario)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        remedy = "define it at the top of a module, or use workers=1"
        raise TypeError(f"the scenario {scenario!r} cannot be handed to other processes ({error}): {remedy}") from None


def _together(scenario: Scenario, rest: Iterator[Point], workers: int, suspects: list[Point]) -> Iterator[Line]:
    """Compute until done, or until a worker dies: what was under way is then in *suspects*."""
    with _pool(workers) as pool:
        pending: dict[Future[Line], Point] = {}
        while True:
            for point in islice(rest, 2 * workers - len(pending)):
                try:
                    pending[pool.submit(compute, scenario, point)] = point
                except BrokenProcessPool:
                    suspects.append(point)
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                point = pending.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    suspects += [point, *pending.values()]
                    return


def _alone(scenario: Scenario, point: Point) -> Iterator[Line]:
    with _pool(1) as pool:
        try:
            yield pool.submit(compute, scenario, point).result()
        except BrokenProcessPool:
            yield died(point, "the worker process ended")


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that leaves nobody behind, however it is left."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, _context(), _obey, (os.getpid(),))
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        mine = set(multiprocessing.active_children()) - before
        pool.shutdown(wait=False, cancel_futures=True)
        for child in mine:
            child.kill()
        raise


def _context() -> BaseContext:
    """Fresh interpreters; what was typed into a notebook or at a prompt has no file that they could read."""
    main = sys.modules["__main__"]
    typed = not hasattr(main, "__file__") and getattr(main, "__spec__", None) is None
    return multiprocessing.get_context("fork" if typed and hasattr(os, "fork") else "spawn")


def _obey(parent: int) -> None:
    """In a worker: Ctrl-C is for the sweep to handle; end with the sweep, even if that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


# -- Dask -----------------------------------------------------------------------------------------------------------


def dask(scenario: Scenario, points: Sequence[Point], scheduler: str) -> Lines:
    """Compute on a Dask cluster; a worker that dies is replaced by another, as the cluster is told to.

    Raises:
        Unsupported: Dask is not installed.
        ConnectionError: no scheduler answers there, or no longer.
    """
    try:
        import distributed
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise Unsupported("scheduler= needs Dask: pip install 'simvlan[dask]'") from None
    cluster: Any = distributed
    packed = _packed(scenario)
    try:
        _somebody_listens(scheduler)
        client = cluster.Client(scheduler, set_as_default=False, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise ConnectionError(f"scheduler {scheduler!r}: {error}: is `dask scheduler` running there?") from None
    with client:
        futures = {client.submit(compute_packed, packed, point, pure=False): point for point in points}
        try:
            for future in cluster.as_completed(list(futures), loop=client.loop):
                point = futures.pop(future)
                flaw = future.exception()
                if flaw is None:
                    yield future.result()
                elif isinstance(flaw, KilledWorker):
                    yield died(point, "a worker of the cluster ended")
                else:
                    yield {**died(point, ""), "error": f"{type(flaw).__name__}: {flaw}"}
        except CancelledError:
            remedy = "what is done is recorded, the same call goes on when it is back"
            raise ConnectionError(f"scheduler {scheduler!r} went away: {remedy}") from None
        finally:
            client.cancel(list(futures), force=True)


def _packed(scenario: Scenario) -> bytes:
    """Pack a scenario with the modules beside it: workers need the installed packages, not the user's own files.

    Raises:
        TypeError: something in it cannot be packed.
    """
    import cloudpickle  # type: ignore[import-untyped, unused-ignore]

    others = {*packages_distributions(), *sys.stdlib_module_names, "__main__", "simvlan"}
    own = [
        module for name, module in list(sys.modules.items())
        if "." not in name and name not in others and (getattr(module, "__file__", None) or hasattr(module, "__path__"))
    ]  # fmt: skip
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        packed: bytes = cloudpickle.dumps(scenario)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"the scenario {scenario!r} cannot be handed to a cluster: {error}") from None
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
    return packed


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> Scenario:
    import cloudpickle

    scenario: Scenario = cloudpickle.loads(packed)
    return scenario


def compute_packed(packed: bytes, point: Point) -> Line:
    """Compute one point on a worker of a cluster."""
    return compute(_unpacked(packed), point)


def _somebody_listens(scheduler: str) -> None:
    """Knock first: a Dask client that reaches nobody goes on trying, and complaining, when the program ends."""
    address = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    if address.scheme in ("tcp", "tls"):
        if not (address.hostname and address.port):
            raise ValueError("an address such as tcp://10.0.0.1:8786 is expected")
        socket.create_connection((address.hostname, address.port), CONNECT_S).close()
