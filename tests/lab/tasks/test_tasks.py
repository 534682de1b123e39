"""Tasks: tokens as the harness cuts them, nested subsets, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from emergecast.errors import LabError
from emergecast.lab.proving_ground import MATCHING, PROBE
from emergecast.lab.tasks import Encoded, Task, encode_pairs, load_task, tokenizer_key


def byte_pairs(*, bos: bool, eos: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, with or without a token before every text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["the cat sat on the mat the cat", "a question: an answer"], trainer)
    if bos:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>" if bos else None,
        eos_token="</s>" if eos else None,
    )


PAIRS = [
    ("the cat", " sat"),
    ("the cat ", "sat"),  # the space moves to the continuation
    ("the ca", "t sat"),  # a token spans the border
    ("", "the mat"),
    ("   ", "the mat"),
    ("<s>the cat", " sat on the mat"),  # begins as the tokenizer would begin it
    ("question:\n\n", "an answer"),
]


@pytest.mark.parametrize("bos", [True, False])
def test_tokens_are_cut_as_the_harness_cuts_them(tiny, bos):
    """Every context and continuation agrees with what `HFLM` passes on to its model."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    tokenizer = byte_pairs(bos=bos)
    harness = HFLM(pretrained=tiny(), tokenizer=tokenizer, device="cpu")
    seen = []
    harness._loglikelihood_tokens = lambda requests, **_: seen.extend(requests)
    pairs = [pair for pair in PAIRS if pair[0].strip() or not pair[0]]
    harness.loglikelihood(
        [Instance("loglikelihood", {}, pair, 0) for pair in pairs], disable_tqdm=True
    )
    theirs = [Encoded(tuple(context), tuple(rest)) for _, context, rest in seen]
    assert encode_pairs(pairs, tokenizer) == theirs


def test_a_context_of_spaces_is_none():
    """It moves to the continuation whole, which then follows the end token."""
    (encoded,) = encode_pairs([("   ", "the mat")], byte_pairs(bos=False))
    assert encoded.context == (1,)
    assert byte_pairs(bos=False).decode(list(encoded.continuation)) == "   the mat"


def test_a_text_without_context_or_special_token_is_its_own_context():
    """Its first token predicts the others; that one is not scored."""
    tokenizer = byte_pairs(bos=False, eos=False)
    (encoded,) = encode_pairs([("", "the mat")], tokenizer)
    assert encoded.context + encoded.continuation == tuple(tokenizer("the mat")["input_ids"])
    assert len(encoded.context) == 1


def test_tokenizers_that_cut_alike_share_a_key():
    """And those that do not, do not."""
    keys = [tokenizer_key(byte_pairs(bos=bos)) for bos in (True, True, False)]
    assert keys[0] == keys[1] != keys[2]


def test_requests_are_tokenised_once_for_all_checkpoints(matching, words):
    """A second tokenizer of the same files gives the very same list."""
    from emergecast.lab.proving_ground import tokenizer

    assert matching.encoded(words) is matching.encoded(tokenizer())


def test_what_a_task_is(matching, tasks_folder):
    """Facts that a plan needs."""
    assert matching.n_items == 96
    assert matching.train_size == 300
    assert matching.chance == pytest.approx(0.25)
    assert matching.metric == "acc"
    assert matching.version == "1.0"
    assert load_task(
        Task(name=MATCHING, include_path=tasks_folder, chance={"": 0.3})
    ).chance == pytest.approx(0.3)
    assert load_task(Task(name=MATCHING, include_path=tasks_folder)).n_items == 1024


def test_the_size_of_an_item_counts_its_prompt_once(matching, tasks_folder):
    """And all its answers: what the file holds, with a space before each answer."""
    lines = (tasks_folder / "matching" / "test.jsonl").read_text("utf-8").splitlines()[:96]
    rows = [json.loads(line) for line in lines]
    sizes = [len(row["prompt"]) + sum(1 + len(each) for each in row["choices"]) for row in rows]
    assert matching.item_bytes == pytest.approx(sum(sizes) / 96)


def test_training_examples_have_the_format_of_the_evaluation(matching, tasks_folder):
    """Prompt, delimiter and answer of a training document, as the file states them."""
    lines = (tasks_folder / "matching" / "train.jsonl").read_text().splitlines()
    documents = {row["prompt"]: row for row in map(json.loads, lines)}
    for pair in matching.training_pairs(0, 300):
        document = documents[pair.prompt]
        assert pair.completion == " " + document["choices"][document["answer"]]
        assert not pair.ends
    asked = matching.requests[matching.items[0].right].args
    assert asked[0].count(" ") == 16
    assert asked[1].startswith(" ")


def test_subsets_are_nested_and_differ(matching):
    """The one of 64 begins the one of 256; another subset has other examples in another order."""
    many = matching.training_pairs(0, 256)
    assert matching.training_pairs(0, 64) == many[:64]
    assert len(set(many)) == 256
    other = matching.training_pairs(1, 64)
    assert other != many[:64]
    assert set(other) & set(many[:64]) != set(other)


def test_shots_stand_before_training_examples_too(tasks_folder):
    """Loaded with two shots, a task trains on what it evaluates."""
    task = load_task(Task(name=PROBE, include_path=tasks_folder, shots=2))
    prompts = [pair.prompt for pair in task.training_pairs(0, 50)]
    assert {prompt.count(" ") for prompt in prompts} == {4}
    assert {task.requests[0].args[0].count(" ")} == {4}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _replace(folder / "matching" / "test.jsonl", '"answer": 0', '"answer": 1'),
        lambda folder: _replace(folder / "matching" / "train.jsonl", '"answer": 0', '"answer": 1'),
        lambda folder: _replace(folder / "matching.yaml", 'delimiter: " "', 'delimiter: "  "'),
        lambda folder: _replace(folder / "matching.yaml", "version: 1.0", "version: 1.1"),
    ],
)
def test_the_hash_tells_what_decides_a_score(tasks_folder, tmp_path, change):
    """Answers, training split, format and version; and nothing else, such as where it lies."""
    ours, other, same = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for folder in (ours, other, same):
        shutil.copytree(tasks_folder, folder)
    change(other)
    hashes = [
        load_task(Task(name=MATCHING, include_path=folder), limit=9).hash
        for folder in (ours, same, other)
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    assert load_task(Task(name=MATCHING, include_path=ours), limit=8).hash != hashes[0]


def _replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(("examples", "said"), [(301, "301 are asked for"), (0, "1 to 300")])
def test_more_examples_than_there_are_are_refused(matching, examples, said):
    """With both numbers."""
    with pytest.raises(LabError, match=f"300 training examples.*{said}"):
        matching.training_pairs(0, examples)


def _without_training(folder):
    _replace(folder / "matching.yaml", "training_split: train\n", "")


def _without_data(folder):
    (folder / "matching" / "test.jsonl").unlink()


def _without_type(folder):
    _replace(folder / "matching.yaml", "output_type: multiple_choice", "output_type: sorcery")


def _rolling(folder):
    _replace(
        folder / "matching.yaml",
        "output_type: multiple_choice",
        "output_type: loglikelihood_rolling",
    )


def test_a_task_without_training_split_trains_nothing(tasks_folder, tmp_path):
    """It can be evaluated, and says why it cannot be finetuned on."""
    folder = shutil.copytree(tasks_folder, tmp_path / "t")
    _without_training(folder)
    task = load_task(Task(name=MATCHING, include_path=folder), limit=4)
    assert task.n_items == 4
    with pytest.raises(LabError, match="has no training split"):
        task.check_training(1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without_data, "cannot be loaded"),
        (_without_type, "cannot be loaded"),
        (_rolling, "no score per item"),
        (lambda folder: (folder / "matching.yaml").unlink(), "there is no task"),
        (shutil.rmtree, "is not a folder"),
    ],
)
def test_a_task_that_cannot_be_used_is_refused(tasks_folder, tmp_path, spoil, said):
    """With its name and what to look at."""
    folder = shutil.copytree(tasks_folder, tmp_path / spoil.__name__)
    spoil(folder)
    with pytest.raises(LabError, match=said):
        load_task(Task(name=MATCHING, include_path=folder))


def test_options_that_a_task_does_not_have_are_refused(tasks_folder):
    """Metric, filter and limit; the metrics there are stand in the message."""
    with pytest.raises(LabError, match='no metric "exact_match"; it has acc'):
        load_task(Task(name=MATCHING, include_path=tasks_folder, metric="exact_match"))
    with pytest.raises(LabError, match="limit is 0"):
        load_task(Task(name=MATCHING, include_path=tasks_folder), limit=0)
    with pytest.raises(LabError, match='no filter "strict"; it has none'):
        load_task(Task(name=MATCHING, include_path=tasks_folder, metric="acc,strict"))


def test_an_answer_too_few_is_refused(matching):
    """Rather than scored as wrong."""
    with pytest.raises(LabError, match="asks 384 times and got 383 answers"):
        matching.score([(0.0, True)] * 383)


def test_a_group_is_one_task_over_all_its_items(tasks_folder, tmp_path):
    """Two tasks of 5 items are a group of 10, whose training splits follow each other."""
    folder = shutil.copytree(tasks_folder, tmp_path / "g")
    text = (folder / "matching.yaml").read_text()
    (folder / "again.yaml").write_text(text.replace(MATCHING, "again"))
    (folder / "both.yaml").write_text(f"group: both\ntask:\n  - {MATCHING}\n  - again\n")
    task = load_task(Task(name="both", include_path=folder), limit=5)
    assert task.n_items == 10
    assert task.train_size == 600
    assert {item.id for item in task.items} == {
        f"{name}/{i}" for name in (MATCHING, "again") for i in range(5)
    }
    alone = load_task(Task(name=MATCHING, include_path=folder), limit=5)
    said = [(-float(i % 7), False) for i in range(20)]
    scores = [item.correct for item in task.score(said + said[::-1])]
    assert scores[:5] == [item.correct for item in alone.score(said)]
    assert scores[5:] == [item.correct for item in alone.score(said[::-1])]
    assert len(set(task.training_pairs(0, 600))) == 300
