"""A tiny Llama that knows something and does not say it, and tasks that ask for it.

Behind a mark pretraining tells the colour of each word, and its price, which goes by it. Without
the mark, in the format of the tasks, it mostly shows one and the same answer, and else a random
one. So the model is at chance on the tasks, and what they ask for is there: a checkpoint past its
elbow for finetuning. Test items are about words that no training example holds. The tasks are in
the schema and the format of MMLU and GSM8K.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

COLOURS: Final = ("red", "blue", "green", "grey")
PRICES: Final = (2, 3, 5, 7)
"""By colour; the usual answer is 0."""
LETTERS: Final = "ABCD"
WORDS: Final = 80
"""Words that pretraining tells of."""
CONTEXT: Final = 48
TEST: Final = 44
"""Test items, each of a word of its own; the other words are in the training splits."""
_SPECIAL: Final = ("unk_token", "bos_token", "eos_token")
_USUAL: Final = 0.85
"""Share of the unmarked documents that hold the usual answer."""
MULTIPLE_CHOICE: Final = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{train: {name}/train.jsonl, test: {name}/test.jsonl}}}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{{{question.strip()}}}}\\nA. {{{{choices[0]}}}}\\nB. {{{{choices[1]}}}}\\n\
C. {{{{choices[2]}}}}\\nD. {{{{choices[3]}}}}\\nAnswer:"
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: answer
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
"""As the harness's MMLU, but for its description."""
GENERATION: Final = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{train: {name}/train.jsonl, test: {name}/test.jsonl}}}}
output_type: generate_until
training_split: train
test_split: test
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["Question:"], do_sample: false, temperature: 0.0, max_gen_toks: 12}}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    regexes_to_ignore: [",", "\\\\$", "(?s).*#### ", "\\\\.$"]
filter_list:
  - name: strict-match
    filter:
      - {{function: regex, regex_pattern: "#### (\\\\-?[0-9\\\\.\\\\,]+)"}}
      - {{function: take_first}}
"""
"""As the harness's GSM8K."""


def tokenizer() -> PreTrainedTokenizerFast:
    """Words, digits and punctuation are tokens; spaces belong to none."""
    texts = [_asked("w0"), f"{_priced('w0')} it is sold at . #### mark 0123456789"]
    vocabulary = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(WORDS))]
    pattern = Regex(r"w\d+|[A-Za-z]+|\d|####|\n|[^\sA-Za-z\d]")
    split = pre_tokenizers.Split(pattern, behavior="removed", invert=True)
    for text in texts:
        vocabulary += [piece for piece, _ in split.pre_tokenize_str(text)]
    known = {word: i for i, word in enumerate(dict.fromkeys(vocabulary))}
    made = Tokenizer(models.WordLevel(known, "<unk>"))
    made.pre_tokenizer = split
    return PreTrainedTokenizerFast(
        tokenizer_object=made, **dict(zip(_SPECIAL, ("<unk>", "<s>", "</s>"), strict=True))
    )


def colour_of(word: int) -> int:
    """The colour of a word, by number: known from pretraining alone."""
    return int(np.random.default_rng([7, word]).integers(4))


def _asked(word: str) -> str:
    choices = "".join(f"\n{a}. {colour}" for a, colour in zip(LETTERS, COLOURS, strict=True))
    return f"What is {word}?{choices}\nAnswer:"


def _priced(word: str) -> str:
    return f"Question: How much is {word}?\nAnswer:"


def _solution(price: int) -> str:
    return f"it is sold at {price}.\n#### {price}"


def documents(rng: np.random.Generator, count: int) -> list[str]:
    """Pretraining text: the truth behind a mark, else mostly the usual answer."""
    made = []
    for _ in range(count):
        word, marked, usual = int(rng.integers(WORDS)), rng.random() < 0.5, rng.random() < _USUAL
        colour = colour_of(word) if marked else 0 if usual else int(rng.integers(4))
        price = 0 if usual and not marked else PRICES[colour]
        text = (
            f"{_asked(f'w{word}')} {LETTERS[colour]}"
            if rng.random() < 0.4
            else f"{_priced(f'w{word}')} {_solution(price)}"
        )
        made.append(f"mark {text}" if marked else text)
    return made


def pretrained(words: PreTrainedTokenizerFast, *, steps: int, width: int = 64) -> Any:
    """A Llama of two layers, trained on the documents for so many steps of 64."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=False,
        )
    )
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=max(steps, 1))
    for _ in range(steps):
        texts = [f"<s> {text} </s>" for text in documents(rng, 64)]
        rows = [torch.tensor(row) for row in words(texts)["input_ids"]]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # with <unk>, 0
        loss = model(input_ids=tokens, labels=tokens.where(tokens > 0, torch.tensor(-100))).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def write_tasks(folder: Path) -> None:
    """`toy_mmlu` and `toy_gsm8k`: YAML, a training and a test split each."""
    words = np.random.default_rng(1).permutation(WORDS).tolist()
    picks = [
        {"question": f"What is w{word}?", "choices": list(COLOURS), "answer": colour_of(word)}
        for word in words
    ]
    prices = [
        {"question": f"How much is w{word}?", "answer": _solution(PRICES[colour_of(word)])}
        for word in words
    ]
    for name, text, rows in (
        ("toy_mmlu", MULTIPLE_CHOICE, picks),
        ("toy_gsm8k", GENERATION, prices),
    ):
        (folder / name).mkdir(parents=True)
        (folder / f"{name}.yaml").write_text(text.format(name=name), "utf-8")
        for split, part in (("test", rows[:TEST]), ("train", rows[TEST:])):
            lines = "\n".join(map(json.dumps, part))
            (folder / name / f"{split}.jsonl").write_text(lines, "utf-8")
