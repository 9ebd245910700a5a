"""Driving the compiled loop: long stretches at a time, asking the rules where it stops, in parallel where it can.

The answers are those of the array engine, bit for bit. Threads take consecutive parts of a stretch; that is right as
long as no frame changes where a station is, so the first that would ends the parallel part.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simvlan.engines.batch import kernels
from simvlan.engines.batch.run import Run
from simvlan.engines.batch.tables import CONTEXT_BITS

if TYPE_CHECKING:
    from simvlan.engines.batch.frames import FrameBatch
    from simvlan.engines.batch.outcome import Outcome
    from simvlan.engines.batch.pipeline import Pipeline

CHUNK = 65_536
"""Frames whose content or MACs are looked at together."""
SHORTEST, LONGEST, NEAR = 1024, 32_768, 8
"""Frames left to array operations where a class is told limb by limb: to begin with, at most; and how many stretches
without such a class end a run of them."""
TURNS = 4096
"""Fewer frames of one content in a row than these, and contents take turns (as sizes in a mix do): a chunk of them is
looked at together, for a call of the loop costs as much as thousands of frames."""
PARALLEL = 1 << 18
"""Frames that make threads worth while; more where many stamps must be merged afterwards."""
NO_CONTEXT: NDArray[np.int64] = np.zeros(0, np.int64)
Content: TypeAlias = "tuple[int, int, NDArray[np.int64], NDArray[np.int64]]"
"""What frames carry: ethertype octets and length of all, with contexts by device; or -1, and contexts by frame."""
MAC48, WORD32 = np.uint64((1 << 48) - 1), np.uint64(0xFFFF_FFFF)


def forward(
    pipeline: Pipeline, batch: FrameBatch, roles: NDArray[np.uint64], limbs: NDArray[np.int32], outcome: Outcome
) -> None:
    """Forward a batch; arguments as `Pipeline.forward` has them."""
    work = _Work(pipeline, batch, roles, limbs, outcome)
    first = 0
    while first < len(batch):
        due = pipeline.ageing.run_until(int(batch.time[first]))
        last = len(batch)
        if due <= int(batch.time[-1]):
            last = first + int(np.searchsorted(batch.time[first:], due, "left"))
        work.run(first, last)
        first = last


class _Work:
    """One batch; frames are numbers from its start."""

    def __init__(
        self, pipeline: Pipeline, batch: FrameBatch, roles: NDArray[np.uint64], limbs: NDArray[np.int32],
        outcome: Outcome,
    ) -> None:  # fmt: skip
        self.pipeline, self.batch = pipeline, batch
        self.roles, self.limbs = roles, limbs
        self.outcome, self.places, self.chosen = outcome, outcome.places, outcome.classes
        self.stretch, self.stretched = SHORTEST, -LONGEST * NEAR
        """How many frames array operations took last, and where they ended."""
        self.words = batch.head.view(np.uint64)

    def run(self, at: int, last: int) -> None:
        """Forward frames, those of one content as long as they last, others a chunk at a time."""
        while at < last:
            kind = self.pipeline.contents.uniform(self.batch[at : at + 1], self.words[at : at + 1, 1])
            stop = at
            if kind is not None and self.pipeline.contents.whatever(kind):
                stop = self._go(at, last, kind, NO_CONTEXT)
            if stop < last and stop - at < TURNS:
                stop = self._mixed(stop, min(stop + CHUNK, last))
            at = stop

    def _mixed(self, first: int, last: int) -> int:
        """Forward frames whose content is looked up one by one."""
        context = np.zeros(last, np.int64)
        part = self.batch[first:last]
        kind = self.pipeline.contents.uniform(part, self.words[first:last, 1])
        if kind is None:
            context[first:] = self.pipeline.context(part, self.roles, self.places[:, first:last])
        else:
            context[first:] = self.pipeline.contexts_of(kind, self.roles).take(part.ingress)
        return self._go(first, last, -1, context)

    def _go(self, first: int, last: int, kind: int, context: NDArray[np.int64]) -> int:
        """Let the loop run, answering its questions; returns where it ended: at *last*, or at other content."""
        pipeline = self.pipeline
        by_device = pipeline.contexts_of(kind, self.roles) if kind >= 0 else NO_CONTEXT
        pipeline.make_room()
        uniform = int(self.words[first, 1] >> np.uint64(32)) & 0xFFFF if kind >= 0 else -1
        content = (uniform, int(self.batch.length[first]), by_device, context)
        while first < last:
            first, why = self._loop(first, last, content)
            if why == kernels.OTHER_CONTENT:
                return first
            if why == kernels.NEW_MAC:
                self._meet(first, min(first + CHUNK, last))
            elif why == kernels.APART:
                first = self._apart(first, last)
            elif why != kernels.DONE:
                device = self.batch.ingress[first]
                first = self._one(first, why, by_device[device] if kind >= 0 else context[first])
        return last

    def _loop(self, first: int, last: int, content: Content) -> tuple[int, int]:
        """Run in parallel while nothing changes, else in order."""
        threads = self.pipeline.threads
        if threads > 1 and last - first >= max(PARALLEL, self.pipeline.stations.stamps.size):
            first, why = self._parallel(first, last, content, threads)
            if why != kernels.CHANGES:
                return first, why
            last = min(last, first + PARALLEL)
        stopped, why = self._kernel(first, last, content, self.pipeline.stations.stamps, True)
        return int(stopped), int(why)

    def _parallel(self, first: int, last: int, content: Content, threads: int) -> tuple[int, int]:
        """Run equal parts side by side; what follows the first stop does not count."""
        marks = np.linspace(first, last, threads + 1).astype(int).tolist()
        stamps = self.pipeline.stations.stamps
        private = [np.zeros_like(stamps) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            jobs = [
                pool.submit(self._kernel, a, b, content, own, False)
                for a, b, own in zip(marks, marks[1:], private, strict=False)
            ]
            ends = [job.result() for job in jobs]
        for (stopped, why), own in zip(ends, private, strict=True):
            np.maximum(stamps, own, out=stamps)
            if why != kernels.DONE:
                return int(stopped), int(why)
        return last, kernels.DONE

    def _kernel(self, first: int, last: int, content: Content, stamps: NDArray[np.int64], may_change: bool) -> Any:
        """Call the loop with everything it reads and writes."""
        tables, stations, batch = self.pipeline.tables, self.pipeline.stations, self.batch
        answers = tables.standing, tables.variable, tables.mark, tables.starts, tables.rows
        limbs = self.limbs.astype(np.int64) << CONTEXT_BITS
        ground_of = limbs if content[0] < 0 else limbs | content[2]
        return kernels.advance(
            first, last, self.words, batch.length, batch.ingress, batch.time, self.pipeline.start_ns, content,
            self.limbs, ground_of, stations.macs.constants(), stations.code, tables.flat,
            (*tables.numbers.constants(), tables.of_key), tables.shifts(), answers, stamps, may_change, self.chosen,
            self.places,
        )  # fmt: skip

    def _meet(self, first: int, last: int) -> None:
        """Give ids to the MACs of the next frames."""
        words = self.words[first:last]
        source = words[:, 0] >> np.uint64(48) | (words[:, 1] & WORD32) << np.uint64(16)
        self.pipeline.stations.ids(np.concatenate((source, words[:, 0] & MAC48)))

    def _apart(self, first: int, last: int) -> int:
        """Take a stretch by array operations, a longer one if the last ended not far from here; returns its end."""
        near = first - self.stretched < NEAR * self.stretch
        self.stretch = min(2 * self.stretch, LONGEST) if near else SHORTEST
        end = self.stretched = min(first + self.stretch, last)
        self.pipeline.take(self.batch[first:end], self.roles, self.limbs, self.outcome, slice(first, end))
        return end

    def _one(self, at: int, why: int, context: int) -> int:
        """Let Python see to one frame; returns where to go on."""
        pipeline, one = self.pipeline, slice(at, at + 1)
        words = self.words[at]
        source = int(words[0]) >> 48 | (int(words[1]) & 0xFFFF_FFFF) << 16
        ids = pipeline.stations.ids(np.array([source, int(words[0]) & int(MAC48)], np.uint64))
        self.places[0, at] = self.limbs[self.batch.ingress[at]]
        run = Run(
            pipeline, self.batch[one], np.array([context]), ids[:1], ids[1:], self.places[:, one], self.chosen[one]
        )
        if why == kernels.NEW_KEY:
            run.classes(None)
            return at
        run.chosen[0] = run.alone(0)
        pipeline.stamp(run.part, run.source, run)
        return at + 1
