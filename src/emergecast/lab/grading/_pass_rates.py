"""What the grades of many programs come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emergecast.errors import OptionError
from emergecast.lab.grading._gradable import GradableMask
from emergecast.lab.grading._grade import ProgramGrade


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """Means over problems; a problem weighs the same whatever its number of tests or samples."""

    problems: int
    """Problems with tests and programs."""
    without_tests: int
    """Problems left out, since nothing can be passed."""
    with_one_test: int
    """Problems with a single test, of which a pass means little."""
    samples: int
    """Programs of the problem that has the fewest."""
    accuracy: float | None
    """Mean share of programs that pass all tests; None where there are no problems."""
    share_of_tests: float | None
    """Mean share of tests passed, the continuous metric; None as above."""
    pass_at: dict[int, float]
    """By k: estimated probability that one of k programs passes all tests."""
    official_accuracy: float | None
    """As `accuracy`, by APPS's own comparison and its 11 s; None where nobody asked for all."""
    gradable: int | None
    """Problems of which a reference solution passes; None where nobody looked."""
    gradable_accuracy: float | None
    """As `accuracy`, over these; None where there are none."""


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Probability that one of k programs passes, from n samples of which c passed.

    `1 - C(n - c, k) / C(n, k)`, the unbiased estimate of Chen et al. (2021), arXiv 2107.03374,
    eq. 1, as a product that does not overflow.

    Raises:
        OptionError: k is not from 1 to n, or c not from 0 to n.
    """
    if not (1 <= k <= samples and 0 <= passed <= samples):
        raise OptionError(f"pass@{k} of {samples} samples, {passed} of them right: impossible.")
    if samples - passed < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / n for n in range(samples - passed + 1, samples + 1))


def pass_rates(
    grades: Mapping[str, Sequence[ProgramGrade]],
    mask: GradableMask | None = None,
    ks: Sequence[int] = (1,),
) -> PassRates:
    """What the grades of each problem's programs come to.

    Args:
        grades: by problem, one for each sample.
        mask: which problems can be graded.
        ks: numbers of programs for pass@k.

    Raises:
        OptionError: a problem has fewer samples than a k.
    """
    tested = {name: each for name, each in grades.items() if each and each[0].tests}
    gradable = None if mask is None else {n: e for n, e in tested.items() if n in mask.gradable}
    asked = all(g.official is not None for each in tested.values() for g in each)
    right = {name: sum(grade.passed for grade in each) for name, each in tested.items()}
    return PassRates(
        problems=len(tested),
        without_tests=sum(bool(each) and not each[0].tests for each in grades.values()),
        with_one_test=sum(len(each[0].tests) == 1 for each in tested.values()),
        samples=min((len(each) for each in tested.values()), default=0),
        accuracy=_mean([right[name] / len(each) for name, each in tested.items()]),
        share_of_tests=_mean(
            [sum(g.share or 0.0 for g in each) / len(each) for each in tested.values()]
        ),
        pass_at={
            k: sum(pass_at_k(len(e), right[n], k) for n, e in tested.items()) / len(tested)
            for k in ks
            if tested
        },
        official_accuracy=_mean(
            [sum(g.official is True for g in each) / len(each) for each in tested.values() if asked]
        ),
        gradable=None if gradable is None else len(gradable),
        gradable_accuracy=_mean([right[n] / len(e) for n, e in (gradable or {}).items()]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
