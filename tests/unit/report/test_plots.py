from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from smule_crypten.report.plots import (
    MAX_LAYERS,
    bytes_by_layer_svg,
    bytes_per_epoch_svg,
    class_counts_svg,
    curves_svg,
)
from smule_crypten.report.run_records import RunRecord


def test_accuracy_curves_name_their_lines_and_axes(record: RunRecord) -> None:
    """Alone, a control, SMuLe and pooled are told apart by name, and the axes carry units."""
    assert {"pooled data", "b alone", "b self mutual", "b SMuLe", "epoch", "test accuracy (%)"} <= _texts(
        curves_svg(record.epochs, "b", "accuracy")
    )


def test_what_was_not_trained_is_not_in_the_legend(record: RunRecord) -> None:
    """A run without reference does not show an empty line called 'alone'."""
    texts = _texts(curves_svg([event for event in record.epochs if event.phase == "smule"], "a", "accuracy"))
    assert "a SMuLe" in texts
    assert not texts & {"a alone", "a self mutual", "pooled data"}


def test_a_run_that_failed_before_its_first_epoch_has_empty_axes() -> None:
    """Partial records can be drawn."""
    assert "epoch" in _texts(curves_svg([], "a", "accuracy"))


def test_bytes_are_drawn_in_a_readable_unit() -> None:
    """The axis says MB where the bars are megabytes."""
    assert "MB an epoch, both directions" in _texts(bytes_per_epoch_svg([16, 5_000_000]))
    assert "B an epoch, both directions" in _texts(bytes_per_epoch_svg([0, 0]))


def test_layers_stand_in_the_order_of_their_cost() -> None:
    """The costliest layer is on top, and names are not read as mathematics."""
    svg = bytes_by_layer_svg({"conv$1$": 10_000, "relu": 90_000, "fc": 50_000})
    names = [element.text for element in _text_elements(svg) if element.text in ("conv$1$", "relu", "fc")]
    assert names == ["relu", "fc", "conv$1$"]


def test_only_the_costliest_layers_are_drawn() -> None:
    """The figure of a deep network stays shorter than the screen; its table has the rest."""
    texts = _texts(bytes_by_layer_svg({f"layer {i}": i for i in range(60)}))
    assert {name for name in texts if name.startswith("layer")} == {f"layer {i}" for i in range(60 - MAX_LAYERS, 60)}


def test_ids_of_two_figures_differ() -> None:
    """Two inline figures on one page do not steal each other's clip paths."""
    epochs, counts = bytes_per_epoch_svg([1, 2]), class_counts_svg({"a": [1, 2], "b": [0, 3]})
    assert not _ids(epochs) & _ids(counts)
    assert _references(epochs) <= _ids(epochs)


def _text_elements(svg: str) -> list[ElementTree.Element]:
    return [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}text")]


def _texts(svg: str) -> set[str]:
    return {element.text or "" for element in _text_elements(svg)}


def _ids(svg: str) -> set[str]:
    return {element.attrib["id"] for element in ElementTree.fromstring(svg).iter() if "id" in element.attrib}


def _references(svg: str) -> set[str]:
    """Ids that <use> elements and clip paths point to."""
    found = set()
    for element in ElementTree.fromstring(svg).iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                found.add(value.removeprefix("#"))
            elif name == "clip-path":
                found.add(value.removeprefix("url(#").removesuffix(")"))
    assert found, "the figure has nothing to check"
    return found
