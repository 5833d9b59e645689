from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from smule_crypten.pages.plots import (
    MAX_LAYERS,
    bytes_by_layer_svg,
    class_counts_svg,
    controls_svg,
    learning_svg,
    traffic_svg,
)
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import epoch_traffic


def test_accuracy_curves_name_their_lines_and_axes(record: RunRecord) -> None:
    """Alone, with SMuLe and pooled are told apart by name, and the axes carry units."""
    assert {"data of both pooled", "a alone", "a SMuLe", "b alone", "b SMuLe", "epoch", "test accuracy (%)"} <= _texts(
        learning_svg(record.epochs, ("a", "b"), "accuracy", 3)
    )


def test_a_party_stands_beside_its_controls(record: RunRecord) -> None:
    """And beside nothing of the other one."""
    texts = _texts(controls_svg(record.epochs, "b", "accuracy", 3))
    assert {"b alone", "b SMuLe", "b self mutual"} <= texts
    assert not texts & {"a alone", "b self distillation"}


def test_what_was_not_trained_is_not_in_the_legend(record: RunRecord) -> None:
    """A run without reference does not show an empty line called 'alone'."""
    texts = _texts(learning_svg([event for event in record.epochs if event.phase == "smule"], ("a",), "accuracy", 3))
    assert "a SMuLe" in texts
    assert not texts & {"a alone", "b SMuLe", "data of both pooled"}


def test_the_axis_goes_on_to_the_last_epoch(record: RunRecord) -> None:
    """A run that has just begun is not drawn as one that is through."""
    assert {"2", "4", "6", "8"} <= _texts(learning_svg(record.epochs[:1], ("a",), "accuracy", 9))


def test_a_run_that_failed_before_its_first_epoch_has_empty_axes() -> None:
    """Partial records can be drawn."""
    assert "epoch" in _texts(learning_svg([], ("a", "b"), "accuracy", 3))
    assert "B so far, both directions" in _texts(traffic_svg([], 3))


def test_bytes_add_up_in_a_readable_unit(record: RunRecord) -> None:
    """The axis says MB where the sum is megabytes: the sample's 16 bytes and two times 5 MB."""
    texts = _texts(traffic_svg(epoch_traffic(record), 3))
    assert "MB so far, both directions" in texts
    assert {"0", "10"} <= texts
    assert not texts & {"12", "14"}


def test_colors_come_from_the_page(record: RunRecord) -> None:
    """So that they are bright on dark and dark on bright; a file of its own names its colors."""
    svg = learning_svg(record.epochs, ("a", "b"), "accuracy", 3)
    assert "var(--party-a)" in svg
    assert "var(--party-b)" in svg
    assert "currentColor" in svg
    assert not re.findall(r"#0072b2|#d55e00|#010203|#040506", svg)


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
    epochs, counts = traffic_svg([], 3), class_counts_svg({"a": [1, 2], "b": [0, 3]})
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
