"""Updates of baselines beside plain PyTorch, three steps on a tiny network; skipped without PyTorch (the extra `bench`)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from hyperforget_jax import classifier
from hyperforget_jax.baselines import bad_teacher, laf, steps, trw
from hyperforget_jax.baselines.boundary import BoundaryExpand, BoundaryShrink
from hyperforget_jax.baselines.fine_tune import FineTune
from hyperforget_jax.baselines.gradient_ascent import GradientAscent
from hyperforget_jax.baselines.l1_sparse import L1Sparse
from hyperforget_jax.baselines.laf import gaussian
from hyperforget_jax.baselines.method import Method, answer
from hyperforget_jax.baselines.neggrad_plus import NegGradPlus
from hyperforget_jax.baselines.random_labels import RandomLabels
from hyperforget_jax.baselines.salun import Salun, salient
from hyperforget_jax.baselines.scrub import Scrub
from hyperforget_jax.baselines.ssd import importances
from hyperforget_jax.baselines.trw import Trw
from hyperforget_jax.classifier import Params
from tests.baselines.conftest import SIZES, Case

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("programs")

Tensors = list[Any]
ONE = {"epochs": 1, "batch_size": 32}
"""Three steps, since there are 96 images."""
KEYS = 5


def own_key() -> jax.Array:
    return jax.random.split(jax.random.key(KEYS), 1)[0]


def tensors(params: Params) -> Tensors:
    return [torch.tensor(np.asarray(layer[name]), requires_grad=True) for layer in params for name in ("w", "b")]


def hidden(weights: Tensors, images: Any) -> Any:
    return torch.relu(images @ weights[0].T + weights[1])


def logits(weights: Tensors, images: Any) -> Any:
    return hidden(weights, images) @ weights[2].T + weights[3]


def seen(batch: steps.Minibatch) -> tuple[Any, Any]:
    return torch.tensor(np.asarray(batch.columns.T)), torch.tensor(np.asarray(batch.labels), dtype=torch.long)


def ce(weights: Tensors, batch: tuple[Any, Any], labels: Any = None) -> Any:
    return torch.nn.functional.cross_entropy(logits(weights, batch[0]), batch[1] if labels is None else labels)


def kl(teacher: Any, student: Any, temperature: float = 1.0) -> Any:
    found, wanted = (torch.log_softmax(each / temperature, 1) for each in (student, teacher.detach()))
    return torch.nn.functional.kl_div(found, wanted, reduction="batchmean", log_target=True) * temperature**2


class Losses:
    """The losses of the methods as their papers write them: (weights, retained, forgotten, step) -> scalar."""

    def __init__(self, case: Case) -> None:
        self.case, self.first = case, tensors(case.original)
        self.random = steps.random_labels(own_key(), case.labels, 3, True)
        self.teacher = tensors(classifier.init(own_key(), SIZES))

    def relabelled(self, step: steps.Step) -> Any:
        return torch.tensor(np.asarray(self.random[step.forgotten.rows]), dtype=torch.long)

    def fine_tune(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        return ce(w, r)

    def neggrad_plus(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        return 0.9 * ce(w, r) - 0.1 * ce(w, f)

    def random_labels(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        return ce(w, r) + ce(w, f, self.relabelled(step))

    def bad_teacher(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        near = kl(logits(self.first, r[0]), logits(w, r[0]), 2.0)
        return near + kl(logits(self.teacher, f[0]), logits(w, f[0]), 2.0)

    def scrub(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        if int(step.number) % 4 < 1:
            return -kl(logits(self.first, f[0]), logits(w, f[0]), 2.0)
        return 1.5 * ce(w, r) + 0.5 * kl(logits(self.first, r[0]), logits(w, r[0]), 2.0)

    def l1_sparse(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        return ce(w, r) + 0.01 * (1 - int(step.number) / 3) * sum(each.abs().sum() for each in w)

    def trw(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        target = trw.tilted(self.case.original, step.forgotten, self.case.forgetting.forget, 2.0)
        return ce(w, r) + kl(torch.tensor(np.asarray(target.T)), logits(w, f[0]))

    def laf(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        everything = steps.draw(self.case.forgetting, jnp.asarray(0), 96)
        mean, precision = (torch.tensor(np.asarray(each)) for each in gaussian(self.case.original, everything))
        before = hidden(self.first, r[0]).detach()
        kept = ((hidden(w, r[0]) - before) ** 2).mean() / before.var(correction=0)
        moved = hidden(w, f[0]) - mean
        return kept - 0.5 * torch.clamp(torch.einsum("bi,ij,bj->b", moved, precision, moved) / 5, max=100.0).mean()

    def boundary_shrink(self, w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        images = f[0].clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(ce(self.first, (images, f[1])), images)
        scores = logits(self.first, f[0] + 0.1 * slope.sign()).detach().clone()
        scores[torch.arange(32), f[1]] = -torch.inf
        return ce(w, f, scores.argmax(1))


RATE = 0.01
METHODS: dict[str, Method] = {
    "fine_tune": FineTune(**ONE, learning_rate=RATE),
    "neggrad_plus": NegGradPlus(**ONE, learning_rate=RATE, retain_weight=0.9),
    "random_labels": RandomLabels(**ONE, learning_rate=RATE),
    "l1_sparse": L1Sparse(**ONE, learning_rate=RATE, alpha=0.01),
    "trw": Trw(**ONE, learning_rate=RATE, beta=2.0),
    "boundary_shrink": BoundaryShrink(**ONE, learning_rate=RATE),
}


def unlearned(method: Method, case: Case) -> list[np.ndarray]:  # type: ignore[type-arg]
    keys = jax.random.split(jax.random.key(KEYS), 1)
    models = answer(method, jax.tree.map(lambda leaf: leaf[None], case.original), case.forgetting, keys)
    return [np.asarray(layer[name][0]) for layer in models for name in ("w", "b")]


def trained(case: Case, optimizer: Callable[[Tensors], Any], weights: Tensors, loss: Any, count: int) -> Tensors:
    stepper = optimizer(weights)
    for number in range(count):
        step = steps.draw(case.forgetting, jnp.asarray(number), 32)
        stepper.zero_grad()
        loss(weights, seen(step.retained), seen(step.forgotten), step).backward()
        stepper.step()
    return weights


@pytest.mark.parametrize("name", METHODS)
def test_steps_equal_those_of_pytorch(case: Case, name: str) -> None:
    weights = tensors(case.original)
    sgd = name == "boundary_shrink"
    kind = torch.optim.SGD if sgd else torch.optim.Adam
    settings = {"momentum": 0.9} if sgd else {}
    trained(case, lambda _: kind(weights, lr=RATE, **settings), weights, getattr(Losses(case), name), 3)
    for ours, theirs, first in zip(unlearned(METHODS[name], case), weights, tensors(case.original), strict=True):
        assert_allclose(ours, theirs.detach().numpy(), rtol=2e-3, atol=2e-4)
        assert not np.allclose(ours, first.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(("name", "number"), [("bad_teacher", 0), ("laf", 0), ("scrub", 0), ("scrub", 1)])
def test_gradients_equal_those_of_pytorch(case: Case, name: str, number: int) -> None:
    """At another student: at the original their gradients are rounding in part, which Adam would make steps of."""
    student = jax.tree.map(lambda leaf: 1.1 * leaf + 0.05, case.original)
    losses = {
        "bad_teacher": bad_teacher.loss(case.original, classifier.init(own_key(), SIZES), 2.0),
        "laf": laf.loss(
            case.original, gaussian(case.original, steps.draw(case.forgetting, jnp.asarray(0), 96)), 0.5, 100.0
        ),
        "scrub": Scrub(max_steps=1, gamma=1.5).loss(case.original, 3),
    }
    step = steps.draw(case.forgetting, jnp.asarray(number), 32)
    ours = jax.jit(jax.grad(losses[name]))(student, step)
    weights = tensors(student)
    value = getattr(Losses(case), name)(weights, seen(step.retained), seen(step.forgotten), step)
    theirs = torch.autograd.grad(value, weights, allow_unused=True)
    for mine, other in zip([layer[part] for layer in ours for part in ("w", "b")], theirs, strict=True):
        assert_allclose(mine, 0.0 if other is None else other.numpy(), rtol=2e-3, atol=1e-4)


def test_clipped_ascent_equals_pytorch(case: Case) -> None:
    weights = tensors(case.original)
    for number in range(3):
        step = steps.draw(case.forgetting, jnp.asarray(number), 32)
        gradients = torch.autograd.grad(-ce(weights, seen(step.forgotten)), weights)
        norm = torch.sqrt(sum((each**2).sum() for each in gradients))
        factor = min(1.0, 0.01 / float(norm))
        weights = [
            (w - 0.5 * factor * g).detach().requires_grad_(True) for w, g in zip(weights, gradients, strict=True)
        ]
    method = GradientAscent(num_steps=3, batch_size=32, learning_rate=0.5, clip_norm=0.01)
    for ours, theirs in zip(unlearned(method, case), weights, strict=True):
        assert_allclose(ours, theirs.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_expansion_equals_pytorch(case: Case) -> None:
    weights = tensors(case.original)
    extra = torch.tensor(np.asarray(classifier.initial_weights(own_key(), 1, SIZES[-2])))
    wider = [*weights[:2], torch.cat([weights[2], extra]), torch.cat([weights[3], torch.zeros(1)])]
    wider = [each.detach().clone().requires_grad_(True) for each in wider]

    def loss(w: Tensors, r: Any, f: Any, step: steps.Step) -> Any:
        return ce(w, f, torch.full((32,), 3))

    trained(case, lambda w: torch.optim.SGD(w, lr=RATE, momentum=0.9), wider, loss, 3)
    found = unlearned(BoundaryExpand(**ONE, learning_rate=RATE), case)
    for ours, theirs in zip(found, [*wider[:2], wider[2][:-1], wider[3][:-1]], strict=True):
        assert_allclose(ours, theirs.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_salun_equals_masked_pytorch(case: Case) -> None:
    mask = [
        torch.tensor(np.asarray(layer[name]))
        for layer in salient(case.original, case.forgetting, 2, 32, 0.4)
        for name in ("w", "b")
    ]
    weights, losses = tensors(case.original), Losses(case)
    sgd = torch.optim.SGD(weights, lr=RATE, momentum=0.9, weight_decay=0.1)
    first = [each.detach().clone() for each in weights]
    for number in range(3):
        step = steps.draw(case.forgetting, jnp.asarray(number), 32)
        sgd.zero_grad()
        losses.random_labels(weights, seen(step.retained), seen(step.forgotten), step).backward()
        sgd.step()
        with torch.no_grad():  # what lies outside the mask is restored after every step
            for weight, start, chosen in zip(weights, first, mask, strict=True):
                weight.copy_(torch.where(chosen > 0, weight, start))
    method = Salun(**ONE, batches=2, share=0.4, learning_rate=RATE, weight_decay=0.1)
    for ours, theirs in zip(unlearned(method, case), weights, strict=True):
        assert_allclose(ours, theirs.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_importances_are_squared_gradients_of_pytorch(case: Case) -> None:
    weights = tensors(case.original)
    sums = [torch.zeros_like(each) for each in weights]
    for number in range(3):
        batch = seen(steps.draw(case.forgetting, jnp.asarray(number), 32).forgotten)
        gradients = torch.autograd.grad(ce(weights, batch), weights)
        sums = [total + each**2 / 3 for total, each in zip(sums, gradients, strict=True)]
    forgotten, _ = importances(case.original, case.forgetting, 3, 32)
    for ours, theirs in zip([layer[name] for layer in forgotten for name in ("w", "b")], sums, strict=True):
        assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-9)
