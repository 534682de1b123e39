"""The leak check: which training texts hold an evaluated one."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from emergecast.lab.proving_ground import MATCHING
from emergecast.lab.tasks import Task, load_task
from emergecast.lab.tasks._leaks import GRAM, leaked, normal_words

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
OTHERS = tuple(f"item {i} of the evaluation" for i in range(4))


@pytest.mark.parametrize(
    ("evaluated", "training", "is_leak"),
    [
        (LONG, f"before it all {LONG} and after", True),
        (LONG, LONG.removesuffix(" fourteen"), True),  # 13 words in a row
        (LONG, LONG.removesuffix(" thirteen fourteen") + " 13 14", False),  # 12
        (LONG, LONG.replace("seven", "7"), False),
        (LONG, LONG.title().replace(" Two", ', "Two"') + "!", True),
        ("Where is it?", "where is  it", True),
        ("Where is it?", "Where is it now?", False),  # a short one is the whole text or nothing
        ("Where is it?", f"{LONG} where is it", False),
        ("What is 2+3?", "What is 2-3?", False),
        ("3 < 5", "3 > 5", False),
        ("...", "!", False),  # no word, no item
    ],
)
def test_what_a_leak_is(evaluated, training, is_leak):
    """13 words in a row without case and punctuation; of shorter items all of them."""
    assert leaked([evaluated, *OTHERS], ["other", training]) == ({1} if is_leak else set())


def test_words_of_the_format_are_no_leak():
    """What more than ten items share, or more than half of them, is how all are asked."""
    asked = [f"{LONG} {i}" for i in range(30)]
    assert not leaked(asked, [f"{LONG} 31"])
    assert leaked(asked, [f"{' '.join(LONG.split()[-12:])} 7"]) == {0}
    assert leaked([*asked[:10], *OTHERS * 5], [f"{LONG} 31"]) == {0}, "ten of thirty share it"
    assert not leaked(asked[:3], [f"{LONG} 31"])
    assert leaked(asked[:1], [LONG]) == frozenset({0}), "the only item is no format"


@pytest.mark.parametrize("at_a_time", [1 << 20, 100])
def test_it_finds_what_comparing_everything_finds(at_a_time, monkeypatch):
    """Random texts of few words, many of which share thirteen; each pair compared by hand."""
    monkeypatch.setattr("emergecast.lab.tasks._leaks._AT_A_TIME", at_a_time)
    rng = random.Random(7)  # noqa: S311  no secret
    words, often = ("a", "b", "B,", "..."), (8, 6, 2, 1)
    make = lambda: " ".join(rng.choices(words, often, k=rng.randrange(3, 40)))  # noqa: E731
    evaluated, training = [make() for _ in range(60)], [make() for _ in range(300)]

    def grams(text: str) -> set[tuple[str, ...]]:
        words = normal_words(text)
        if len(words) < GRAM:
            return {tuple(words)}
        return {tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)}

    every = [grams(text) for text in evaluated]
    kept = {g for mine in every for g in mine if sum(g in other for other in every) <= 10}
    expected = {i for i, text in enumerate(training) if grams(text) & kept}
    assert 20 < len(expected) < 280
    assert leaked(evaluated, training) == expected


@pytest.fixture
def with_leaks(tasks_folder, tmp_path):
    """The proving ground's task with two of its 300 training examples taken from its test items."""
    folder = shutil.copytree(tasks_folder, tmp_path / "t")
    train, test = (folder / "matching" / f"{name}.jsonl" for name in ("train", "test"))
    rows = train.read_text().splitlines()
    rows[5], rows[250] = test.read_text().splitlines()[:2]
    train.write_text("\n".join(rows))
    return folder


def test_leaked_examples_are_not_finetuned_on(with_leaks, matching):
    """They are counted and left out; an option keeps them; of a clean task nothing changes."""
    task = load_task(Task(name=MATCHING, include_path=with_leaks), limit=9)
    rows = list(map(json.loads, (with_leaks / "matching" / "train.jsonl").read_text().splitlines()))
    assert (task.train_size, task.pool.leaked, task.pool.shots) == (298, 2, 0)
    prompts = {pair.prompt for pair in task.training_pairs(0, 298)}
    assert prompts == {row["prompt"] for i, row in enumerate(rows) if i not in {5, 250}}
    kept = load_task(Task(name=MATCHING, include_path=with_leaks, leak_check=False), limit=9)
    assert (kept.train_size, kept.pool.leaked) == (300, None)
    assert kept.finetuning_hash == kept.hash == task.hash != task.finetuning_hash
    assert matching.pool.leaked == 0


def test_the_check_moves_no_key_where_nothing_is_left_out(tasks_folder):
    """The hash and the subsets are those of a task that nobody has checked."""
    checked, free = (
        load_task(Task(name=MATCHING, include_path=tasks_folder, leak_check=check), limit=9)
        for check in (True, False)
    )
    assert checked.hash == checked.finetuning_hash == free.finetuning_hash
    assert checked.definition == free.definition
    assert checked.training_pairs(1, 50) == free.training_pairs(1, 50)
