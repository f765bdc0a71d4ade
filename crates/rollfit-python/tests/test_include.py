"""`[features] include`: columns of the source tables beside the features, in every way that Python reads them."""

import pytest

import rollfit
from dataset_support import KEYS, MONTHS, bits, bits_of, config_text, first_of, joined_rows, make_job, rows_in, stored, wanted

pytest.importorskip("pyarrow")

FEBRUARY = first_of("2017-02")
INCLUDED = {"rate_index_idx": "idx", "w15_bqx_return_bqx": "bqx"}


@pytest.fixture(scope="module")
def made(tmp_path_factory, command):
    config = make_job(tmp_path_factory.mktemp("include"), command, run=False)
    include = 'include = ["idx.rate_index", "bqx.w15_bqx_return"]'
    config.write_text(config_text("carry").replace("[features]", f"[features]\n{include}"))
    command("run", "--quiet", cwd=config.parent)
    return config.parent


@pytest.fixture(scope="module")
def ds(made):
    return rollfit.open(made / "rollfit.toml")


def test_a_table_has_the_inputs_of_each_row(ds, made):
    assert ds.columns[10] == "rate_index_idx" and ds.columns[-1] == "w15_bqx_return_bqx"
    assert rows_in(ds.features()) == wanted(made)
    found = rows_in(ds.features(columns=list(INCLUDED)))
    for key in KEYS:
        for month in MONTHS:
            for instant, values in joined_rows(key, month):
                inputs = {column: values[series] for column, series in INCLUDED.items()}
                expected = {column: None if value != value else bits(value) for column, value in inputs.items()}
                assert found[key][instant] == expected


def test_a_live_row_has_those_that_are_pushed(ds, made):
    live = ds.live("eurusd", until=FEBRUARY)
    rows = stored(made, ["eurusd"], ["2017-02"])["eurusd"]
    for instant, values in joined_rows("eurusd", "2017-02")[:100]:
        inputs = {column: values[series] for column, series in INCLUDED.items()}
        assert bits_of(live.push(**values, **inputs, time=instant)) == bits_of(rows[instant])
    row = live.push(idx=1.0, bqx=2.0, time=FEBRUARY.replace(day=2))
    assert not INCLUDED.keys() & row.keys() and "a2_bqx_w5" in row
    with pytest.raises(ValueError, match='did you mean "rate_index_idx"'):
        live.push(idx=1.0, bqx=2.0, rate_index_ixd=1.0, time=FEBRUARY.replace(day=3))


def test_why_says_where_an_included_value_is_from(ds):
    with pytest.raises(ValueError, match="rate_index_idx is not computed: it is the column `rate_index` of the source table"):
        ds.why("eurusd", FEBRUARY, "rate_index_idx")
