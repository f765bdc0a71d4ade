"""A job by years: one partition over two months, as partitions, datasets and live rows show it."""

import pickle

import pytest

import rollfit
from dataset_support import KEYS, config_text, first_of, joined_rows, make_job

pyarrow = pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def config(tmp_path_factory, command):
    path = make_job(tmp_path_factory.mktemp("periods"), command, run=False)
    text = config_text("reset").replace('from = "2017-01"', 'by = "year"\nfrom = "2017"').replace("_{yyyy}_{mm}", "_{yyyy}")
    path.write_text(text)
    command("run", "--quiet", cwd=path.parent)
    return path


def test_partitions_have_a_period_and_a_month_only_where_it_is_one(config):
    found = sorted(rollfit.partitions(config))
    assert [(each.key, each.period) for each in found] == [(key, "2017") for key in KEYS]
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(AttributeError, match="use .period"):
        _ = found[0].month
    assert rollfit.partitions(config, only="eurusd:2017") == found[:1]
    with pytest.raises(rollfit.ConfigError, match="2017-02 is only a part of 2017"):
        rollfit.partitions(config, only="eurusd:2017-02")


def test_a_dataset_names_the_unit_and_live_rows_continue_over_months(config):
    ds = rollfit.open(config)
    assert pyarrow.table(ds.partitions()).column_names == ["key", "year", "state", "rows", "cause"]
    rows = joined_rows("eurusd", "2017-02")
    live = ds.live("eurusd", until=first_of("2017-02"))
    assert [seed["partition"] for seed in live.seeded_from] == ["eurusd 2017"]
    instant, values = rows[0]
    # Windows start anew in each year, so they reach into January.
    assert live.push(**values, time=instant)["a2_idx_w5"] is not None
