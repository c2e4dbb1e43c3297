"""One evaluation of `branin` in D variables under the embedding of `rembo`, one point at a time, and peak memory.

Run: python benchmarks/billion.py
"""

import resource
import time

import numpy as np
from _timing import machine

from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import assemble
from dfo_bench.runs.spec import RunSpec

if __name__ == "__main__":
    print(machine())
    for dim in (25, 10**6, 10**9):
        spec = RunSpec(parse(f"branin:dim={dim}"), parse("rembo:inner=(random)"), parse("normal"), dim=2, budget=500)
        assembly = assemble(spec)
        embedding = assembly.embed(0)
        points = [embedding.lift(z[None, :]) for z in np.random.default_rng(0).standard_normal((1000, 2))]
        begin = time.process_time()
        for point in points:
            assembly.task.evaluate(point)
        milliseconds = (time.process_time() - begin) / len(points) * 1e3
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"D = {dim:>13,}: {milliseconds:.4f} ms of CPU an evaluation, peak memory so far {peak:.0f} MiB")
