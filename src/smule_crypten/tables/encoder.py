"""Rows as inputs of a network and as targets, by the constants of a public schema and by nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smule_crypten.tables.schema import Column, TableSchema

if TYPE_CHECKING:
    import pandas as pd

_BOOLEAN = (0.5, 0.5)
"""Centre and scale of false and true as 0 and 1, which become -1 and +1."""


class TableEncoder:
    """Features in order: numeric and boolean columns, whether values are missing, one input a category.

    It learns nothing from a table: all constants are those of the schema.

    Attributes:
        feature_names: of the inputs, in their order.
        cut: how many values were cut to the limit of the schema, by column.
    """

    def __init__(self, schema: TableSchema) -> None:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import MissingIndicator, SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

        self.schema = schema
        self.cut: Counter[str] = Counter()
        numeric = [column for column in schema.features if column.kind != "categorical"]
        self._numeric = _names(numeric)
        categorical = [column for column in schema.features if column.kind == "categorical"]
        standardise = FunctionTransformer(
            _standardised,
            kw_args={"constants": [_constants(column) for column in numeric]},
            feature_names_out="one-to-one",
        )
        # Missing values are NaN until here; 0 is the centre.
        centred = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
        categories = [np.array(column.categories, object) for column in categorical]
        one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
        parts = [
            ("numbers", make_pipeline(standardise, centred), _names(numeric)),
            ("missing", MissingIndicator(features="all"), _names(c for c in numeric if c.missing)),
            ("categories", one_hot, _names(categorical)),
            ("no_category", FunctionTransformer(_is_empty), _names(c for c in categorical if c.missing)),
        ]
        self._transformer = ColumnTransformer(
            [part for part in parts if part[2]], sparse_threshold=0, verbose_feature_names_out=False
        )
        # One row that stands for any: the parts of scikit-learn want to be fitted, and find nothing in it.
        self._transformer.fit(_prototype(schema))
        self.feature_names = tuple(
            [column.name for column in numeric]
            + [f"{column.name} is missing" for column in numeric if column.missing]
            + [f"{column.name}={name}" for column in categorical for name in column.categories]
            + [f"{column.name} is missing" for column in categorical if column.missing]
        )

    def features(self, cleaned: pd.DataFrame) -> NDArray[np.float32]:
        """(N, features) of rows whose columns values.clean has made."""
        features: NDArray[Any] = self._transformer.transform(cleaned[_names(self.schema.features)])
        limit, numbers = self.schema.limit, features[:, : len(self._numeric)]
        beyond = (np.abs(numbers) > limit).sum(0)
        self.cut.update({name: int(count) for name, count in zip(self._numeric, beyond, strict=True) if count})
        np.clip(numbers, -limit, limit, out=numbers)
        return features.astype(np.float32)

    def targets(self, cleaned: pd.DataFrame) -> NDArray[Any]:
        """(N) int64 class numbers; or (N, labels or targets) float32, regression targets in their own units."""
        columns = self.schema.targets
        if self.schema.task != "classification":
            return np.asarray(cleaned[_names(columns)], np.float32)
        (column,) = columns
        if column.kind == "boolean":
            return np.asarray(cleaned[column.name], np.int64)
        numbers = {name: number for number, name in enumerate(column.categories)}
        return np.asarray(cleaned[column.name].map(numbers), np.int64)


def _standardised(numbers: pd.DataFrame, constants: list[tuple[float, float]]) -> pd.DataFrame:
    centre, scale = np.array(constants).T
    return (numbers.astype(np.float64) - centre) / scale


def _constants(column: Column) -> tuple[float, float]:
    if column.centre is None or column.scale is None:
        return _BOOLEAN
    return column.centre, column.scale


def _names(columns: Any) -> list[str]:
    return [column.name for column in columns]


def _is_empty(texts: pd.DataFrame) -> pd.DataFrame:
    return (texts == "").astype(np.float64)


def _prototype(schema: TableSchema) -> pd.DataFrame:
    import pandas as pd

    values = {c.name: [c.categories[0] if c.kind == "categorical" else _constants(c)[0]] for c in schema.features}
    return pd.DataFrame({name: pd.Series(value, dtype=None) for name, value in values.items()})
