"""The catalogue against numbers typed from the facts, apart from its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emergecast.errors import LabError
from emergecast.lab.catalogue.series import (
    CataloguedSeries,
    ListedCheckpoint,
    catalogued_series,
    expand,
    left_out_families,
    series_names,
)
from emergecast.lab.catalogue.series._read_families import read_family


def steps_of(series: CataloguedSeries) -> list[int]:
    """Those that have one."""
    return [each.step for each in series.checkpoints if each.step is not None]


def at(name: str, step: int) -> ListedCheckpoint:
    """The checkpoint of a series at a step."""
    return next(each for each in catalogued_series(name).checkpoints if each.step == step)


@pytest.mark.parametrize(
    ("name", "count", "first", "last", "last_tokens", "params", "without"),
    [
        # The paper's series: steps as published, tokens per step inferred from the final counts.
        ("open_llama_v1_3b", 9, 2500, 250_000, 1.0486e12, 3_426_473_600, 3_221_673_600),
        ("open_llama_v1_7b", 9, 2500, 250_000, 1.0486e12, 6_738_415_616, 6_476_271_616),
        ("open_llama_v1_13b", 9, 5000, 500_000, 1.0486e12, 13_015_864_320, 12_688_184_320),
        ("open_llama_v2_3b", 6, 20_000, 460_000, 9.647e11, 3_426_473_600, 3_221_673_600),
        ("open_llama_v2_7b", 6, 20_000, 460_000, 9.647e11, 6_738_415_616, 6_476_271_616),
        ("pythia_14m", 154, 0, 143_000, 299_892_736_000, 14_067_712, 1_189_888),
        ("pythia_31m", 154, 0, 143_000, 299_892_736_000, 30_494_720, 4_739_072),
        ("pythia_70m", 154, 0, 143_000, 299_892_736_000, 70_426_624, 18_915_328),
        ("pythia_160m_deduped", 154, 0, 143_000, 299_892_736_000, 162_322_944, 85_056_000),
        ("pythia_410m", 154, 0, 143_000, 299_892_736_000, 405_334_016, 302_311_424),
        ("pythia_1b", 154, 0, 143_000, 299_892_736_000, 1_011_781_632, 805_736_448),
        ("pythia_1.4b", 154, 0, 143_000, 299_892_736_000, 1_414_647_808, 1_208_602_624),
        ("pythia_2.8b_deduped", 154, 0, 143_000, 299_892_736_000, 2_775_208_960, 2_517_652_480),
        ("pythia_6.9b", 154, 0, 143_000, 299_892_736_000, 6_857_302_016, 6_444_163_072),
        ("pythia_12b", 154, 0, 143_000, 299_892_736_000, 11_846_072_320, 11_327_027_200),
        ("pythia_410m_seed9", 154, 0, 143_000, 299_892_736_000, 405_334_016, 302_311_424),
        ("pythia_160m_weight_seed3", 154, 0, 143_000, 299_892_736_000, 162_322_944, 85_056_000),
        ("olmo2_1b", 195, 0, 1_907_359, 4.0e12, 1_484_916_736, 1_073_874_944),
        ("olmo2_1b_early", 37, 0, 36_000, 7.55e10, 1_484_916_736, 1_073_874_944),
        ("olmo2_7b", None, 150, 928_646, 3.895e12, 7_298_617_344, 6_476_533_760),
        ("olmo2_13b", None, 1000, 596_057, 5.0e12, 13_716_198_400, 12_688_593_920),
        ("olmo2_32b", None, 1000, 721_901, 6.0557e12, None, None),
        ("olmo3_7b", None, 1000, 1_413_814, 5.93e12, None, None),
        ("olmo_1b_0724", None, 1000, 1_454_000, 3.05e12, None, None),
        ("amber_7b", 359, 0, 358, 1.2556e12, 6_738_415_616, None),
        ("smollm3_3b", 86, 40_000, 3_440_000, 8.116e12, 3_075_098_624, 2_812_430_336),
        ("smollm2_1.7b", 41, 125_000, 5_125_000, 1.0748e13, 1_711_376_384, None),
        ("smollm2_135m", 8, 240_000, 1_920_000, None, 134_515_008, None),
        ("comma_v0.1_1t", 46, 10_000, 460_000, 9.647e11, None, None),
        ("apertus_8b", None, 50_000, 2_600_000, 1.4792e13, None, None),
        ("tinyllama_1.1b", 7, 50_000, 1_431_000, 3.0e12, 1_100_048_384, 968_976_384),
        ("bloom_560m", 8, 1000, 600_000, None, None, None),
        ("lucie_7b", 35, 5000, 753_851, None, None, None),
        ("openeurollm_2b_90-10", 190, 5000, 950_000, 3.985e12, None, None),
    ],
)
def test_steps_tokens_and_parameters_are_those_of_the_facts(
    name, count, first, last, last_tokens, params, without
):
    """Counts and ends as published; tokens of the last step to the digits that are known."""
    series = catalogued_series(name)
    steps = steps_of(series)
    assert (min(steps), max(steps)) == (first, last)
    assert count in {None, len(steps)}
    tokens = at(name, last).tokens
    assert (tokens is None) == (last_tokens is None)
    assert tokens is None or tokens == pytest.approx(last_tokens, rel=5e-3)
    assert params in {None, series.params}
    assert without in {None, series.params_without_embeddings}


def test_every_listed_step_of_open_llama_is_the_papers():
    """Thirty-nine in all, and each a repository of its own."""
    early = [2500, 5000, 7500, 10000, 50000, 100000, 150000, 200000, 250000]
    assert steps_of(catalogued_series("open_llama_v1_3b")) == early
    assert steps_of(catalogued_series("open_llama_v1_7b")) == early
    late = [5000, 10000, 15000, 20000, 100000, 200000, 300000, 400000, 500000]
    assert steps_of(catalogued_series("open_llama_v1_13b")) == late
    second = [20000, 100000, 200000, 300000, 400000, 460000]
    assert steps_of(catalogued_series("open_llama_v2_7b")) == second
    mine = [name for name in series_names() if name.startswith("open_llama")]
    assert sum(len(catalogued_series(name).checkpoints) for name in mine) == 39


@pytest.mark.parametrize(
    ("name", "step", "repository", "revision"),
    [
        ("open_llama_v1_3b", 5000, "openlm-research/open_llama_3b_step_5000", None),
        ("open_llama_v1_13b", 500_000, "openlm-research/open_llama_13b_step_500000", None),
        ("open_llama_v2_7b", 400_000, "openlm-research/open_llama_7b_v2_step_400000", None),
        ("pythia_70m_deduped", 3000, "EleutherAI/pythia-70m-deduped", "step3000"),
        ("pythia_14m_seed4", 512, "EleutherAI/pythia-14m-seed4", "step512"),
        ("pythia_160m_data_seed2", 1, "EleutherAI/pythia-160m-data-seed2", "step1"),
        ("olmo_1b", 1000, "allenai/OLMo-1B-hf", "step1000-tokens4B"),
        ("olmo_1b", 100_000, "allenai/OLMo-1B-hf", "step100000-tokens419B"),
        ("olmo_7b", 50_000, "allenai/OLMo-7B-hf", "step50000-tokens221B"),
        ("olmo_1b_0724", 1000, "allenai/OLMo-1B-0724-hf", "step1000-tokens2B"),
        ("olmo2_1b", 140_000, "allenai/OLMo-2-0425-1B", "stage1-step140000-tokens294B"),
        ("olmo2_7b", 101_000, "allenai/OLMo-2-1124-7B", "stage1-step101000-tokens424B"),
        ("olmo2_7b", 175_000, "allenai/OLMo-2-1124-7B", "stage1-step175000-tokens735B"),
        ("olmo2_7b", 300_000, "allenai/OLMo-2-1124-7B", "stage1-step300000-tokens1259B"),
        ("olmo2_7b", 2150, "allenai/OLMo-2-1124-7B", "step2150-tokens10B"),
        ("olmo2_32b", 721_901, "allenai/OLMo-2-0325-32B", "stage1-step721901-tokens6056B"),
        ("olmo3_7b", 1000, "allenai/Olmo-3-1025-7B", "stage1-step1000"),
        ("olmoe_1b_7b", 1_200_000, "allenai/OLMoE-1B-7B-0924", "step1200000-tokens5033B"),
        ("amber_7b", 0, "LLM360/Amber", "ckpt_000"),
        ("smollm3_3b", 40_000, "HuggingFaceTB/SmolLM3-3B-checkpoints", "stage1-step-40000"),
        ("apertus_8b", 1_800_000, "swiss-ai/Apertus-8B-2509", "step1800000-tokens8072B"),
        ("comma_v0.1_1t", 10_000, "common-pile/comma-v0.1-1t", "stage1-step010000-tokens21B"),
        ("comma_v0.1_1t", 460_000, "common-pile/comma-v0.1-1t", "stage1-step460000-tokens965B"),
        ("tinyllama_1.1b", 50_000, "TinyLlama/TinyLlama-1.1B-step-50K-105b", None),
        ("bloom_560m", 1000, "bigscience/bloom-560m-intermediate", "global_step1000"),
        ("lucie_7b", 753_851, "OpenLLM-France/Lucie-7B", "step0753851"),
        ("openeurollm_2b_80-20", 50_000, "openeurollm/datamix-2b-80-20", "checkpoint_0050000"),
        ("fineweb_edu_1.8b", 1000, "HuggingFaceFW/ablation-model-fineweb-edu", "step-001000-2BT"),
    ],
)
def test_a_checkpoint_lies_where_the_facts_say(name, step, repository, revision):
    """Repository and revision, rounding of the tokens in a name included."""
    found = at(name, step)
    assert (found.repository, found.revision) == (repository, revision)


def test_tokens_of_apertus_come_from_the_name():
    """Tokens a step double on the way, so no constant would do."""
    early, late = at("apertus_8b", 50_000), at("apertus_8b", 2_600_000)
    assert (early.tokens, late.tokens) == (210_000_000_000, 14_792_000_000_000)
    assert 100_000 not in steps_of(catalogued_series("apertus_8b"))


DATA_DECIDE = [  # size, millions of parameters but for one embedding, sequences a batch, last step
    ("4M", 3.7, 32, 5725), ("6M", 6.0, 32, 9182), ("8M", 8.5, 32, 13039), ("10M", 9.9, 32, 15117),
    ("14M", 14.4, 32, 21953), ("16M", 16.0, 32, 24432), ("20M", 19.1, 64, 14584),
    ("60M", 57.1, 96, 29042), ("90M", 97.9, 160, 29901), ("150M", 151.9, 192, 38157),
    ("300M", 320.0, 320, 45787), ("530M", 530.1, 448, 57786), ("750M", 681.3, 576, 63589),
    ("1B", 1176.8, 704, 69369),
]  # fmt: skip


@pytest.mark.parametrize(("size", "millions", "batch", "last"), DATA_DECIDE)
def test_data_decide_has_the_published_sizes(size, millions, batch, last):
    """Parameters as printed, tokens = steps x batch x 2048, 25 corpora, steps in the right gaps."""
    series = catalogued_series(f"datadecide_dolma1_7_{size}")
    between = (series.params_without_embeddings or 0) + (series.params or 0)
    assert between / 2e6 == pytest.approx(millions, abs=0.12)
    final = series.checkpoints[-1]
    assert (final.revision, final.step, final.tokens) == ("main", last, last * batch * 2048)
    gap = 2500 if size == "1B" else 1250
    assert steps_of(series)[0] == gap
    assert at(series.name, gap).revision == f"step{gap}-seed-default"
    assert at(series.name, gap).repository == f"allenai/DataDecide-dolma1_7-{size}"
    corpora = [name for name in series_names() if re.fullmatch(rf"datadecide_.*_{size}", name)]
    assert len(corpora) == 25


def test_bad_revisions_are_left_out_with_a_sentence():
    """Of Pythia-2.8b 86 of 154 serve late weights; the rest is there."""
    found = expand(catalogued_series("pythia_2.8b"))
    kept = {each.revision for each in found.checkpoints}
    assert len(kept) == 154 - 86
    assert not kept & {"step0", "step512", "step53000", "step55000", "step143000", "step54000"}
    assert {"step66000", "step142000"} <= kept
    assert len(found.left_out) == 2
    assert "73 more of pythia_2.8b are left out: its weights are those of main" in found.left_out[0]
    assert "issues 205" in found.left_out[0]
    chimera = expand(catalogued_series("pythia_12b"), [49000, 50000])
    assert [each.name for each in chimera.checkpoints] == ["step49000"]
    assert "step50000 of pythia_12b is left out: a chimera" in chimera.left_out[0]
    assert not {"step101000", "step175000"} & {
        each.name for each in expand(catalogued_series("olmo2_7b")).checkpoints
    }
    with pytest.raises(LabError, match="no checkpoint is left"):
        expand(catalogued_series("pythia_2.8b"), [0])


def test_a_checkpoint_bears_what_the_lab_needs():
    """Its tokenizer from the final repository, tokens, parameters and compute."""
    first = expand(catalogued_series("open_llama_v1_3b"), [2500]).checkpoints[0]
    assert first.source is not None
    assert first.source.tokenizer == "openlm-research/open_llama_3b"
    assert first.source.slow_tokenizer
    assert first.tokens == 2500 * 4_194_304
    assert first.flops == pytest.approx(6 * 3_426_473_600 * 1.048576e10)
    mixture = expand(catalogued_series("olmoe_1b_7b"), [1_200_000]).checkpoints[0]
    assert mixture.flops == pytest.approx(6 * 1.282e9 * 5.033e12, rel=1e-3)
    gated = expand(catalogued_series("llama_2")).checkpoints
    assert {each.lr_fraction for each in gated} == {0.0}  # finals alone
    assert [each.params for each in gated] == [6_738_415_616, 13_015_864_320, 68_976_648_192]
    assert all(each.source is not None and each.source.gated for each in gated)


def test_an_unknown_name_or_step_says_the_nearest():
    """One name, or the two steps around."""
    with pytest.raises(LabError, match=r'no series "pythia_14b".*Did you mean "pythia_1.4b"'):
        catalogued_series("pythia_14b")
    with pytest.raises(LabError, match="nearest are 5,000 and 6,000"):
        expand(catalogued_series("pythia_70m"), [5500])


def test_what_cannot_be_loaded_is_named_with_its_reason():
    """Remote code, raw shards, addresses that nobody verified."""
    reasons = left_out_families()
    assert "code of its own" in reasons["LLM360 Crystal"]
    assert "raw Megatron shards" in reasons["MAP-Neo 7B"]
    assert "not known" in reasons["LLM360 K2"]


GOOD = """\
family = "F"
source = "s"
[[series]]
name = "f_1b"
class = "LlamaForCausalLM"
repository = "a/b"
revision = "step{step}"
steps = [1, 2]
context = 8
licence = "MIT"
dtype = "float32"
weights = "safetensors"
phase = "none"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", None),
        ('licence = "MIT"\n', "", "licence is missing"),
        ("context = 8", 'context = "8"', "context should be int"),
        ("context", "contxt", 'contxt is not known. Did you mean "context"'),
        ('"safetensors"', '"paper"', "weights is none of safetensors, pickle, hf_olmo"),
        ("{step}", "{stp}", "which the series does not say"),
        ("[1, 2]", "[1, 1]", "name no checkpoint, or one of them twice"),
        ("[1, 2]", "[1, {from = 2}]", "neither a number nor from, to, by"),
        ("[1, 2]", "[1, 2", "cannot be read as TOML"),
        ('source = "s"\n', "", "has no source"),
    ],
)
def test_a_data_file_is_checked(tmp_path: Path, old, new, said):
    """A mistake in it is named with the file, the series and the field."""
    file = tmp_path / "f.toml"
    file.write_text(GOOD.replace(old, new) if old else GOOD, "utf-8")
    if said is None:
        assert [each.name for each in next(iter(read_family(file))).checkpoints] == [
            "step1",
            "step2",
        ]
        return
    with pytest.raises(LabError, match=re.escape(said)) as caught:
        list(read_family(file))
    assert str(file) in str(caught.value)
