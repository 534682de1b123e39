"""Documents of a data set, read many at a time."""

from __future__ import annotations

import json

import pytest
from tests.lab.catalogue.tasks.published import PUBLISHED

from emergecast.lab.tasks._pool import rows_of


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_they_are_what_reading_one_by_one_gives(name):
    """In the published schemas, nested ones too, with the keys in the same order."""
    from datasets import Dataset

    for rows in PUBLISHED[name]().values():
        docs = Dataset.from_list(rows)
        assert [json.dumps(each) for each in rows_of(docs)] == [json.dumps(doc) for doc in docs]
    assert list(rows_of([1, 2])) == [1, 2]
