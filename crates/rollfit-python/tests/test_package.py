"""The package as it is installed: what importing it costs, its names and their docstrings, and the files of wheel and sdist."""

import inspect
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import rollfit

WHEEL_MB_MAX = 12.0
# What is not optimised is longer, and is given to nobody.
DEVELOPMENT_WHEEL_MB_MAX = 2 * WHEEL_MB_MAX


def artefact(variable: str) -> Path:
    """A file that crates/rollfit-python/test.sh has built."""
    path = os.environ.get(variable)
    if path is None:
        pytest.skip(f"{variable} names no file: crates/rollfit-python/test.sh builds it")
    return Path(path)


def modules_after(statement: str) -> set[str]:
    """The modules that a statement imports in a new interpreter."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_rollfit_imports_nothing_else():
    others = {name for name in modules_after("import rollfit") if name.split(".")[0] != "rollfit"}
    assert others == set()


def test_the_console_script_starts_without_the_libraries_that_it_can_serve():
    heavy = {"numpy", "pandas", "polars", "pyarrow", "IPython"}
    assert heavy.isdisjoint(modules_after("import rollfit._command"))


def test_the_version_is_the_distributions():
    try:
        installed = metadata.version("rollfit")
    except metadata.PackageNotFoundError:
        pytest.skip("the module was not installed as a distribution")
    assert rollfit.__version__ == installed


def test_no_module_is_public():
    modules = [name for name in dir(rollfit) if not name.startswith("_") and inspect.ismodule(getattr(rollfit, name))]
    assert modules == []


def test_all_lists_the_public_names():
    assert set(rollfit.__all__) == {name for name in dir(rollfit) if not name.startswith("_")}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'rollfit' has no attribute 'rolled'"):
        rollfit.rolled  # noqa: B018


def public_members():
    """Public functions and classes, and the public members of these classes that are not inherited, by their dotted names.

    A plain value in a class, such as `RollfitError.exit_code`, has no docstring of its own: that of its class, or of a base, explains it.
    """
    for name in rollfit.__all__:
        value = getattr(rollfit, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            yield name, value
        if inspect.isclass(value):
            for member in vars(value):
                found = inspect.getattr_static(value, member)
                if member.startswith("_"):
                    continue
                if found is None or isinstance(found, (int, str)):
                    assert any(f"`{member}`" in (base.__doc__ or "") for base in value.__mro__), f"{name}.{member}"
                else:
                    yield f"{name}.{member}", found


def test_every_public_name_has_a_docstring():
    assert [name for name, value in public_members() if not (getattr(value, "__doc__", None) or "").strip()] == []
    assert rollfit.__doc__


def test_the_wheel_is_small_and_of_the_stable_abi():
    wheel = artefact("ROLLFIT_WHEEL")
    is_released = os.environ.get("PROFILE") == "release"
    assert wheel.stat().st_size / 1e6 <= (WHEEL_MB_MAX if is_released else DEVELOPMENT_WHEEL_MB_MAX)
    assert re.fullmatch(r"rollfit-[\d.]+-cp311-abi3-manylinux_2_\d+_x86_64(\.manylinux2014_x86_64)?\.whl", wheel.name)


def test_the_wheel_holds_the_module_the_stubs_the_licences_and_the_command():
    with zipfile.ZipFile(artefact("ROLLFIT_WHEEL")) as archive:
        names = archive.namelist()
        [described] = [name for name in names if name.endswith(".dist-info/METADATA")]
        text = archive.read(described).decode()
    inside = {re.sub(r"^rollfit-[\d.]+\.dist-info/", "", name) for name in names}
    assert {"rollfit/_rollfit.abi3.so", "rollfit/py.typed", "rollfit/__init__.pyi", "rollfit/_command.py", "rollfit/__main__.py"} <= inside
    assert {"licenses/LICENSE-MIT", "licenses/LICENSE-APACHE", "entry_points.txt"} <= inside
    assert not [name for name in names if name.startswith("rollfit/") and "test" in name or name.endswith(".pyc")]
    assert "Requires-Python: >=3.11" in text
    assert "License-Expression: MIT OR Apache-2.0" in text
    assert "pip install rollfit" in text
    assert "Requires-Dist" not in text, "the wheel needs no other package"


def test_the_sdist_holds_all_crates_of_ours_that_it_needs():
    with tarfile.open(artefact("ROLLFIT_SDIST")) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    manifests = {f"crates/{name}/Cargo.toml" for name in ("rollfit", "rollfit-cli", "rollfit-job", "rollfit-python")}
    assert manifests <= names
    assert {"Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "pyproject.toml", "PKG-INFO"} <= names
    assert not [name for name in names if name.startswith(("target/", ".git"))]
