"""What computes: its name, its cores, and the versions behind a measurement."""

import datetime
import os
import platform
from pathlib import Path
from typing import Any

import jax

from hyperforget_jax.runtime import artifacts

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup/memory.max")


def is_cpu() -> bool:
    """Whether there is no accelerator."""
    return jax.default_backend() == "cpu"


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device() -> str:
    """What computes."""
    return cpu() if is_cpu() else jax.devices()[0].device_kind


def name() -> str:
    """The machine in words: what computes, and its cores."""
    return f"{device()}, {cores()} CPU cores"


def about() -> dict[str, Any]:
    """Where and with what it was measured, JSON-ready."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device(),
        "platform": jax.default_backend(),
        "cpu": cpu(),
        "cores": cores(),
        "load_at_start": os.getloadavg()[0],
        "jax": jax.__version__,
        "matmul_precision": jax.config.values["jax_default_matmul_precision"] or "default",
        "git": artifacts.provenance()["git"],
    }


def memory_bytes() -> int | None:
    """Memory of the machine, or less where a control group allows less; None where neither tells."""
    found = []
    if MEMINFO.exists():
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="utf-8").splitlines())
        found.append(int(fields["MemTotal"].split()[0]) * 1024)
    if CGROUP.exists() and (limit := CGROUP.read_text(encoding="utf-8").strip()).isdecimal():
        found.append(int(limit))
    return min(found, default=None)


def cpu() -> str:
    """Model of the CPU."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
