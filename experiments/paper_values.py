"""The values that the paper prints, each with its table."""

from pathlib import Path
from typing import Any

from hyperforget_jax.runtime import artifacts

PLACE = Path(__file__).with_name("paper_values.jsonl")


def table(number: int) -> list[dict[str, Any]]:
    """Rows of one of its tables: "table", "dataset", "method", "metric", "value".

    Tables 1 to 4 have a "forget_set"; their unlearning score stands as `phi_badt`, since several of its values are impossible for a true
    Jensen-Shannon divergence. Table 5 has a "class" and a "family", None for the average.
    """
    return [row for row in artifacts.read_rows(PLACE) if row["table"] == number]
