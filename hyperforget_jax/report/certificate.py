"""The certificate of an exported model on one page: what `certificate.json` tells, for people."""

from collections.abc import Mapping
from typing import Any

from hyperforget_jax.report import templates
from hyperforget_jax.report.tables import braces, number

TEMPLATE = "certificate.html.j2"
METRICS = {
    "retain_accuracy": "Accuracy on the retain set",
    "forget_accuracy": "Accuracy on the forget set",
    "class_accuracy": "Accuracy on class {}",
    "entropy": "Membership by entropy",
    "margin_auc": "Membership by margin",
    "c2st": "Two-sample test (C2ST)",
    "disagreement": "Disagreement",
    "loss_spread": "Spread of log class losses",
}
THRESHOLDS = {
    "max_forget_accuracy": "forget accuracy at most",
    "min_retain_accuracy": "retain accuracy at least",
    "max_c2st": "C2ST at most",
}


def page(certificate: Mapping[str, Any]) -> str:
    """The certificate as one self-contained HTML page; the same certificate always gives the same text."""
    outside = [
        line["position"] != "inside"
        for line in (*certificate["measures"]["accuracies"], *certificate["measures"]["attacks"])
    ]
    return templates.template(TEMPLATE, number=number, braces=braces, metric=metric).render(
        certificate=certificate,
        request=certificate["request"],
        measures=certificate["measures"],
        guarantee=certificate["guarantee"],
        thresholds=THRESHOLDS,
        outside=sum(outside),
        measured=len(outside),
    )


def metric(line: Mapping[str, Any]) -> str:
    """What a line is about, in words."""
    name = line.get("metric") or line["attack"]
    return METRICS[name].format(line.get("class"))
