"""Registers the namespace ``rollfit`` of Polars when Polars is imported, before rollfit or after it.

Invariant: this imports nothing, so that ``import rollfit`` does not.
"""

import sys


def _register(api):
    """Add the namespaces by the module ``polars.api``; nothing here may break the import of Polars."""
    try:
        from . import _polars

        _polars.register(api)
    except Exception as error:
        import warnings

        warnings.warn(f"rollfit: this Polars gets no namespace rollfit: {error}", stacklevel=2)


class _Finder:
    """Sees that ``polars.api`` is imported, and lets the finders after it do that."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "polars.api":
            return None
        finders = list(sys.meta_path)
        after = finders.index(self) + 1 if self in finders else 0
        for finder in finders[after:]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader:
    """Another loader, and the registration after it; leaves no trace in the module."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register(module)


def install() -> None:
    """Register now if Polars is imported, and whenever it is from now on."""
    # First the finder: between the two, another thread may begin to import Polars.
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    if "polars.api" in sys.modules:
        import polars.api

        _register(polars.api)
