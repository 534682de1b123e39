"""The rows that one result file gives: its scores, what its path says, and the metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emergecast.files import read_whole
from emergecast.measurements._axis import LOSS
from emergecast.measurements._metrics import metric_of
from emergecast.measurements._schema import Setting
from emergecast.measurements.importing._chance_levels import ChanceLevels
from emergecast.measurements.importing._import_options import (
    Gathered,
    ImportOptions,
    Measured,
    Source,
)
from emergecast.measurements.importing._lm_eval import ResultFile, TaskScore, parse_results
from emergecast.measurements.importing._metadata import REVISION, Metadata, Wanted
from emergecast.measurements.importing._patterns import PRETRAIN_STEP, STEP
from emergecast.measurements.importing._revision import (
    of_pretraining,
    revision_in,
    step_in,
    tokens_in,
    without_revision,
)
from emergecast.measurements.reading import Findings

_NOT_COLUMNS: Final = frozenset({"task", STEP, PRETRAIN_STEP, REVISION})
_LONGEST: Final = 15
"""Digits of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContext:
    """What every file of an import is read with."""

    options: ImportOptions
    metadata: Metadata
    levels: ChanceLevels


@dataclass(frozen=True, slots=True, kw_only=True)
class _WhichWeights:
    """Which weights a file is of, as its path and its contents together say."""

    revision: str | None
    step: int | None
    """Pretraining step; None where not known."""
    row: dict[str, Any]
    """What the path says about its rows."""
    why_finetuned: str | None


def rows_of(source: Source, context: FileContext, gathered: Gathered) -> Iterator[Measured]:
    """The rows of one file; what is wrong with it, or leaves it out, goes into `gathered`."""
    findings = Findings(source.name)
    try:
        content = read_whole(source.path)
    except OSError as error:
        findings.add(f"the file cannot be read: {error.strerror}.", "Check its permissions.")
        gathered.problems += findings.problems
        return
    file = _parsed(content, source, context.options, findings)
    moment = None if findings.problems else _moment(source, file, context, findings, gathered)
    known = [] if moment is None else _known(source, file, moment, context.metadata, gathered)
    if moment is not None and known:
        known = _with_losses(known, moment, context.options, findings, gathered)
    if findings.problems or moment is None:
        gathered.problems += findings.problems
        return
    gathered.left_out += file.left_out.problems
    gathered.tasks_found.update(score.task for score in file.scores)
    levels = [context.levels.of(score.task, score.metric, score.chance) for score in file.scores]
    if not known:
        if not gathered.untrained or moment.step != 0:
            name = source.fields["checkpoint"]
            gathered.without_metadata[name] = gathered.without_metadata.get(name, 0) + 1
        return
    digest = hashlib.sha256(content).hexdigest()
    path = {**moment.row, "source_file": source.name, "source_hash": digest}
    for score, chance in zip(file.scores, levels, strict=True):
        if chance is None:
            place = (score.metric, score.task)
            gathered.no_chance[place] = gathered.no_chance.get(place, 0) + 1
            continue
        for row in known:
            joined = _joined(row, {**_measured(score), "chance": chance}, path, context.options)
            finetuned = joined["setting"] == Setting.FINETUNED
            yield Measured(
                row=joined,
                fields=source.fields,
                limited=score.limited,
                source=source,
                why_finetuned=(moment.why_finetuned or "the metadata say so")
                if finetuned
                else None,
            )


def _parsed(
    content: bytes, source: Source, options: ImportOptions, findings: Findings
) -> ResultFile:
    chosen = options.tasks or ((source.fields["task"],) if "task" in source.fields else None)
    file = parse_results(content, source.name, chosen)
    findings.problems += file.findings.problems
    if not file.scores and not file.findings.problems and not options.tasks:
        findings.add(
            "the file has no task of the name in its path.",
            "Put * in place of {task} in the pattern, or name the tasks with --tasks.",
            column="task",
            value=source.fields.get("task"),
        )
    return file


# -------------------------------------------------------------------------- which weights


def _moment(
    source: Source, file: ResultFile, context: FileContext, findings: Findings, gathered: Gathered
) -> _WhichWeights | None:
    """Revision, pretraining step and finetuning; None where path and file contradict each other."""
    fields = source.fields
    steps = {name: _step(fields, name, findings) for name in (STEP, PRETRAIN_STEP)}
    step, pretrained = steps[STEP], steps[PRETRAIN_STEP]
    stated = file.weights.revision
    named = _revision(source, stated, pretrained, findings)
    if named is not None and named == _in_folder(source) and named != stated:
        gathered.by_folder.append(named)
    if findings.problems:
        return None
    row = {name: value for name, value in fields.items() if name not in _NOT_COLUMNS}
    by_path = next((name for name in (STEP, "examples") if name in fields), None)
    tuned_by_file = file.weights.adapter or "setting" in fields
    if by_path and stated is not None and of_pretraining(stated) and not tuned_by_file:
        if by_path != STEP or not _is_that_step(stated, step, source, context):
            _refuse_finetuned(by_path, stated, findings)
            return None
        gathered.pretraining += 1
        return _WhichWeights(revision=named, step=step, row=row, why_finetuned=None)
    if step is not None:
        row |= _finetuning(step, row, context.options, gathered)
    why = f"their path has {{{by_path}}}" if by_path else None
    if fields.get("setting") == Setting.FINETUNED:
        why = "their path says so"
    if pretrained is None and named is not None:
        pretrained = step_in(named)
    return _WhichWeights(revision=named, step=pretrained, row=row, why_finetuned=why)


def _revision(
    source: Source, stated: str | None, pretrained: int | None, findings: Findings
) -> str | None:
    """The revision by the path's own fields, else by the file, else by a folder's name."""
    fields = source.fields
    named = fields.get(REVISION, stated)
    named = named or _in_folder(source)
    if pretrained is not None:
        if named is not None and step_in(named) not in {None, pretrained}:
            findings.add(
                f"the path says pretraining step {pretrained:,}, and the file another revision.",
                "Correct the pattern, or evaluate the revision that the path names.",
                value=named,
            )
        return named or f"step{pretrained}"
    return f"tokens{fields['tokens']}" if named is None and "tokens" in fields else named


def _in_folder(source: Source) -> str | None:
    """The revision of pretraining that a folder is named after, where nothing is finetuned."""
    tuned = STEP in source.fields or source.fields.get("setting") == Setting.FINETUNED
    return None if tuned else revision_in(source.unnamed)


def _is_that_step(revision: str, step: int | None, source: Source, context: FileContext) -> bool:
    """Whether the step in the path is the revision's own, and its tokens can be known."""
    if step_in(revision) != step:
        return False
    if step == 0:
        return True
    names = _names(source, None)
    rows = context.metadata.of(Wanted(names=names, revision=revision, step=step))
    return tokens_in(revision) is not None or any("tokens" in row or LOSS in row for row in rows)


def _refuse_finetuned(by_path: str, revision: str, findings: Findings) -> None:
    findings.add(
        f"the pattern's {{{by_path}}} says finetuned, but the file names a revision of pretraining"
        " and no adapter, so nothing was finetuned.",
        "If the steps are those of pretraining, write {pretrain_step} in place of {step} and say"
        " how many tokens a step is: --tokens-per-step, or a column tokens_per_step in the"
        " metadata. If the model was finetuned all the same, have a part {setting} in the path"
        " that says finetuned.",
        value=revision,
    )


def _step(fields: Mapping[str, str], name: str, findings: Findings) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _LONGEST:
        findings.add(
            "the step is not a whole number.",
            f"Correct the pattern, so that {{{name}}} stands where the number is.",
            column=name,
            value=text,
        )
        return None
    return int(text)


def _finetuning(
    step: int, row: Mapping[str, Any], options: ImportOptions, gathered: Gathered
) -> dict[str, Any]:
    """What a finetuning step says: a snapshot, and unique examples and passes over them."""
    if step == 0:
        gathered.step_zero += 1
        return {"snapshot": False, "setting": row.get("setting", Setting.FEW_SHOT.value)}
    found: dict[str, Any] = {"snapshot": True}
    if "examples" not in row and options.batch_size is not None:
        seen = step * options.batch_size
        unique = seen if options.train_size is None else min(seen, options.train_size)
        found["examples"] = unique
        if options.train_size is not None:
            found["epochs"] = seen / unique
    return found


# ------------------------------------------------------------------------- what is known


def _names(source: Source, model: str | None) -> tuple[str, ...]:
    folder = source.fields["checkpoint"]
    names = (folder, folder.replace("__", "/"), folder.rpartition("__")[2], model)
    return tuple(dict.fromkeys(name for name in names if name))


def _known(
    source: Source,
    file: ResultFile,
    moment: _WhichWeights,
    metadata: Metadata,
    gathered: Gathered,
) -> list[dict[str, Any]]:
    """The metadata of the file's checkpoint; of its model, where its folder names a revision."""
    series = source.fields.get("series")
    names = _names(source, file.weights.name)
    wanted = Wanted(names=names, series=series, revision=moment.revision, step=moment.step)
    found = metadata.of(wanted)
    parted = without_revision(source.fields["checkpoint"])
    if found or parted is None or moment.revision not in {None, parted[1]}:
        return found
    base, revision = parted
    names = (base, base.replace("__", "/"), base.rpartition("__")[2])
    found = metadata.of(Wanted(names=names, series=series, revision=revision))
    if found:
        gathered.by_folder.append(revision)
    return found


def _with_losses(
    known: list[dict[str, Any]],
    moment: _WhichWeights,
    options: ImportOptions,
    findings: Findings,
    gathered: Gathered,
) -> list[dict[str, Any]]:
    """The rows that have a loss, or tokens to estimate it from, where a revision needs its own."""
    if moment.revision is None or options.axis.partition(":")[0] != LOSS:
        return known
    path = moment.row
    silent = [row for row in known if LOSS not in {**row, **path} and not _tokens(row, path)]
    if not silent or not (of_pretraining(moment.revision) or moment.step is not None):
        return known
    if moment.step == 0:
        gathered.untrained += 1
        return [row for row in known if row not in silent]
    findings.add(
        "the file is of an earlier checkpoint than the finished model, and nothing says its loss or"
        " its tokens.",
        "Say how many tokens a pretraining step is, with --tokens-per-step or a column"
        " tokens_per_step in the metadata, and give --loss-from; or add a row for each revision to"
        " the metadata, with its name in the column revision.",
        value=moment.revision,
    )
    return known


def _tokens(row: Mapping[str, Any], path: Mapping[str, Any]) -> bool:
    return {**row, **path}.get("tokens") not in {None, 0}


def _joined(
    known: Mapping[str, Any],
    measured: Mapping[str, Any],
    path: Mapping[str, Any],
    options: ImportOptions,
) -> dict[str, Any]:
    """One row: what the path says goes before what the file says, and that before the metadata."""
    row = {**known, **measured, **path, "checkpoint": known["checkpoint"]}
    if row.get("setting") is None:
        finetuned = row.get("examples") is not None
        row["setting"] = (Setting.FINETUNED if finetuned else Setting.FEW_SHOT).value
    if row["setting"] == Setting.FINETUNED and options.method is not None:
        row.setdefault("method", options.method)
    return row


def _measured(score: TaskScore) -> dict[str, Any]:
    known = metric_of(score.metric)
    says = score.higher_is_better
    if known.known and says is not known.lower_is_better:
        says = None  # the registry says the same
    stated = {
        "task": score.task,
        "metric": score.metric,
        "score": score.score,
        "stderr": score.stderr,
        "shots": score.shots,
        "n_items": score.n_items,
        "higher_is_better": says,
    }
    return {name: value for name, value in stated.items() if value is not None}
