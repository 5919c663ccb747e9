"""Devices as a mesh, and the rule that says which array lies where (the pjit of 2026: jit with NamedSharding)."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA = "data"


def make(batch_size: int) -> Mesh:
    """A one-axis mesh of as many devices as divide the batch; its axis type is Auto."""
    count = max(n for n in range(1, jax.device_count() + 1) if batch_size % n == 0)
    return jax.make_mesh((count,), (DATA,), axis_types=(AxisType.Auto,), devices=jax.devices()[:count])


def make_local(batch_size: int) -> Mesh:
    """The same of this process's own devices: what runs there waits for no other process."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
    return jax.make_mesh((count,), (DATA,), axis_types=(AxisType.Auto,), devices=devices[:count])


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array: parameters, optimiser state."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """The leading axis is split over the devices: minibatches, networks to sample."""
    return NamedSharding(mesh, PartitionSpec(DATA))
