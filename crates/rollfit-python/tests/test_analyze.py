"""`rollfit.analyze`: the analysis of the command, and how a notebook shows it."""

import html
import json
import re

import pytest
from made_job import command, make_job

import rollfit


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLFIT_STATE_DIR", str(tmp_path / "state"))
    make_job(tmp_path / "job")
    monkeypatch.chdir(tmp_path / "job")
    return tmp_path / "job"


def test_the_analysis_is_that_of_the_command(job):
    report = rollfit.run()
    analysis = rollfit.analyze(report)
    assert analysis.run == report.run
    assert str(analysis) + "\n" == command("analyze", report.run, cwd=job).stdout
    assert analysis.to_dict() == json.loads(command("analyze", "--json", cwd=job).stdout)
    assert analysis.to_markdown() + "\n" == command("analyze", "--markdown", cwd=job).stdout
    assert command("analyze", "--html", "page.html", cwd=job).returncode == 0
    assert analysis.to_html() == (job / "page.html").read_text()
    assert "\x1b" not in str(analysis)


def test_a_run_is_found_by_all_its_names(job):
    first = rollfit.run(only="eurusd")
    second = rollfit.run(only="gbpusd")
    for named in (first, first.run, first.record, str(first.record)):
        assert rollfit.analyze(named).run == first.run
    for named in (None, "rollfit.toml", job / "rollfit.toml"):
        assert rollfit.analyze(named).run == second.run
    assert rollfit.analyze(config="rollfit.toml").run == second.run


def test_several_runs_are_analyzed_together(job):
    first = rollfit.run(shard="0/2", no_help=True)
    second = rollfit.run(shard="1/2", no_help=True)
    together = rollfit.analyze([second, str(first.record)])
    assert together.runs == [first.run, second.run]
    assert together.run == first.run
    assert together.to_dict()["whole"]["partitions"] == first.written + second.written
    assert str(together) + "\n" == command("analyze", first.run, second.run, cwd=job).stdout
    assert together.to_html().startswith("<!DOCTYPE html>")
    assert str(rollfit.analyze((first, first))) == str(rollfit.analyze(first))


def test_what_cannot_be_analyzed_is_an_error(job):
    with pytest.raises(rollfit.ConfigError, match="found no record of a run"):
        rollfit.analyze()
    report = rollfit.run()
    with pytest.raises(rollfit.ConfigError, match="left no record"):
        rollfit.analyze(rollfit.run())
    with pytest.raises(rollfit.ConfigError, match="no run called `nothing`"):
        rollfit.analyze("nothing")
    with pytest.raises(rollfit.RollfitError, match="bars.csv"):
        rollfit.analyze(job / "bars/key=eurusd/bars.csv")
    with pytest.raises(TypeError, match="not both"):
        rollfit.analyze(report, config="rollfit.toml")
    with pytest.raises(TypeError, match="analyze takes"):
        rollfit.analyze(3)
    with pytest.raises(TypeError, match="no configuration in it"):
        rollfit.analyze([report, "rollfit.toml"])
    with pytest.raises(rollfit.ConfigError, match="no run is given"):
        rollfit.analyze([])


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(job):
    analysis = rollfit.analyze(rollfit.run())
    shown = analysis._repr_html_()
    (page,) = re.fullmatch(r'<iframe [^>]*srcdoc="([^"]*)"></iframe>', shown).groups()
    assert html.unescape(page) == analysis.to_html()
    assert "<style" not in shown.split("srcdoc")[0]
