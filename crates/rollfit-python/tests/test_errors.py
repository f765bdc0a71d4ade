"""The exceptions: what they are kinds of, their exit codes, and that the message is the command's."""

import pickle

import pytest
from made_job import command, make_job

import rollfit


def test_the_tree_and_the_exit_codes():
    codes = {
        rollfit.RollfitError: 1,
        rollfit.ConfigError: 2,
        rollfit.StoreError: 1,
        rollfit.StoreUnreachableError: 3,
        rollfit.PartitionError: 1,
    }
    for error, code in codes.items():
        assert issubclass(error, rollfit.RollfitError) and error.exit_code == code
        assert error.__module__ == "rollfit" and error.__doc__
        assert str(error("what")) == "what" and str(pickle.loads(pickle.dumps(error("what")))) == "what"
    assert issubclass(rollfit.ConfigError, ValueError)
    assert issubclass(rollfit.StoreUnreachableError, rollfit.StoreError)
    assert rollfit.PartitionError("x").report is None
    assert issubclass(rollfit.RollfitWarning, UserWarning)


def test_the_message_is_the_commands(tmp_path, monkeypatch):
    make_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "rollfit.toml"
    text = config.read_text()
    for changed, error in [
        (text.replace("w15 = 15", "w15 = 2"), rollfit.ConfigError),
        (text.replace("[windows]", "[window]"), rollfit.ConfigError),
        (text.replace("parquet:fx", "postgres://nobody@127.0.0.1:1/none"), rollfit.StoreUnreachableError),
        (text.replace("parquet:fx", "parquet:rollfit.toml"), rollfit.RollfitError),
    ]:
        config.write_text(changed)
        printed = command("run", cwd=tmp_path)
        with pytest.raises(error) as raised:
            rollfit.run()
        assert raised.value.exit_code == printed.returncode != 0
        # Each line has its time and what it is before it.
        lines = [line.split(": ", 1)[1] for line in printed.stderr.splitlines() if " error: " in line]
        assert "\n".join(lines) == str(raised.value)


def test_no_secret_is_in_a_message(tmp_path, monkeypatch):
    make_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "rollfit.toml"
    config.write_text(config.read_text().replace("parquet:fx", "postgres://nobody:sesame@127.0.0.1:1/none"))
    with pytest.raises(rollfit.RollfitError) as raised:
        rollfit.run()
    assert "sesame" not in repr(raised.value) + str(raised.getrepr(style="short"))
