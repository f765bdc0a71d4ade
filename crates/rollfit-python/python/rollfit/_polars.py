"""The namespace ``rollfit`` of Polars' expressions and series.

Imported once Polars is. Type checkers do not know namespaces that are registered at run time: there, write
``ExprNamespace(pl.col("close")).rolling(...)``, which is the same, or silence that one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from . import _rollfit

NAMESPACE = "rollfit"
LIBRARY = Path(_rollfit.__file__)


class ExprNamespace:
    """``pl.Expr.rollfit``: rolling features as an expression."""

    def __init__(self, expr: pl.Expr) -> None:
        self._expr = expr

    def rolling(
        self,
        windows: Mapping[str, int] | Iterable[int],
        metrics: Sequence[str] | None = None,
        name: str | None = None,
        *,
        by: str | pl.Expr | Iterable[str | pl.Expr] | None = None,
    ) -> pl.Expr:
        """Fit a parabola to each window of rows; give its metrics as a struct column.

        The struct has a Float64 field for each window and metric, window by window, called
        ``{metric}_{label}`` or ``{metric}_{name}_{label}``, as ``rollfit.rolling`` calls them.
        A field is NULL where the window is not full yet, where a value in it is NULL, NaN, infinite
        or beyond 1e100, and where the metric's formula has no value. The expression keeps the name of
        its column: use ``.alias(...)`` to keep both, and ``.unnest(...)`` to get the fields as columns.

        Parameters
        ----------
        windows
            Rows of each window, 3 to 1,048,576: ``[15, 90]`` (labels ``w15``, ``w90``), or with labels
            of your own ``{"w15": 15, "agg": 90}``.
        metrics
            Names of metrics; the ones that a store keeps by default if None.
        name
            The name of the series in the names of the fields.
        by
            Column or columns (names, expressions, selectors) whose value says which rows belong together: windows
            begin anew with each value. Its rows must follow each other (sort by it first, and by time within it). NULL is a
            value like any other. Much faster than ``.over(...)``, with the same bits.

        Notes
        -----
        Eager, lazy and streaming frames give the same bits; so do ``.over(...)`` and ``group_by(...).agg(...)``,
        where every group is a series of its own. All rows of the column are computed at once.
        Integers up to 2^53 and Float32 are taken as they are; other types are refused.
        Errors found while the column is computed are ``polars.exceptions.ComputeError``.
        A LazyFrame with this expression can be pickled and serialized. The process that runs it needs the same
        version of rollfit, installed at the same path, or at the same path within its virtual environment.

        Examples
        --------
        >>> df.with_columns(pl.col("close").rollfit.rolling([15, 90], ["r2"], by="pair").alias("fit")).unnest("fit")
        """
        from polars.plugins import register_plugin_function

        rolling = _rollfit._polars_kwargs(windows, metrics, name)
        return register_plugin_function(
            plugin_path=LIBRARY,
            function_name="rollfit_rolling",
            args=[self._expr, *([] if by is None else _runs(by))],
            kwargs={"rolling": rolling},
            # A window reaches beyond its row: Polars must not cut the column.
            is_elementwise=False,
            changes_length=False,
            returns_scalar=False,
        )


class SeriesNamespace:
    """``pl.Series.rollfit``: rolling features of a series."""

    def __init__(self, series: pl.Series) -> None:
        self._series = series

    def rolling(
        self,
        windows: Mapping[str, int] | Iterable[int],
        metrics: Sequence[str] | None = None,
        name: str | None = None,
        *,
        by: pl.Series | Iterable[pl.Series] | None = None,
    ) -> pl.Series:
        """Fit a parabola to each window of rows; give its metrics as a struct series of the same name.

        As the expression of the same name; ``by`` takes series as long as this one.
        """
        keys = [] if by is None else [by] if isinstance(by, (pl.Series, str)) else list(by)
        for key in keys:
            if not isinstance(key, pl.Series):
                raise TypeError(f'by must be series as long as this one, not {type(key).__name__}: by=df["pair"]')
        labels = [f"key{at}" for at in range(len(keys))]
        frame = pl.DataFrame(
            [self._series.alias("values"), *(key.alias(label) for key, label in zip(keys, labels))]
        )
        values = ExprNamespace(pl.col("values"))
        expr = values.rolling(windows, metrics, name, by=None if by is None else labels)
        return frame.select(expr).to_series().alias(self._series.name)


def _runs(by: str | pl.Expr | Iterable[str | pl.Expr]) -> list[pl.Expr]:
    """A number for each row that changes with the key, and the first run whose key had rows before (NULL: none).

    The second looks at the first row of each run only.
    """
    named = list(by) if isinstance(by, Iterable) and not isinstance(by, (str, bytes, pl.Expr)) else [by]
    if not named:
        raise ValueError("by is empty: name at least one column, or leave it out")
    for key in named:
        if not isinstance(key, (str, pl.Expr)):
            raise TypeError(f'by must name columns, not {type(key).__name__}: by="pair"')
    keys = [pl.col(key) if isinstance(key, str) else key for key in named]
    # Polars would deal out several columns to several values, one each; together they are one key.
    keys = [pl.struct(key) if key.meta.has_multiple_outputs() else key for key in keys]
    run = keys[0].rle_id()
    for key in keys[1:]:
        run = run + key.rle_id()
    whole = keys[0] if len(keys) == 1 else pl.struct([key.alias(str(at)) for at, key in enumerate(keys)])
    first_keys = whole.filter(run.ne_missing(run.shift()))
    # Not arg_min: among equal values, the streaming engine gives any.
    return [run, first_keys.is_first_distinct().not_().arg_true().min()]


def register(api: Any) -> None:
    """Add the namespaces to the Polars whose module ``polars.api`` this is."""
    # Not by way of `pl`, which may be half imported.
    from polars.expr import Expr
    from polars.series import Series

    if not hasattr(Expr, NAMESPACE):
        api.register_expr_namespace(NAMESPACE)(ExprNamespace)
    if not hasattr(Series, NAMESPACE):
        api.register_series_namespace(NAMESPACE)(SeriesNamespace)
