"""What others have published: never measured here, and shown in a table of its own.

Each row was read in the source named beside it.
"""

from __future__ import annotations

from smule_crypten.suites.suite_records import ResultTable, Row
from smule_crypten.suites.tables import table

_PIRANHA = "Watson, Wagh, Popa, USENIX Security 2022, eprint 2022/892"
_TABLE_2 = f"{_PIRANHA}, Table 2, as in the authors' artifact (ucbrise/piranha, artifact_figures/paper/table2.json)"
_TABLE_4 = f"{_PIRANHA}, Table 4, as in the authors' artifact (ucbrise/piranha, artifact_figures/paper/table4.json)"
_TEN_EPOCHS = "training, 10 epochs, batch 128, mean of what each party sends"
_STEP = "training, one iteration, all parties"

_ROWS = (
    ("P-SecureML", 2, "SecureML network (MNIST)", _TEN_EPOCHS, "49.55 GB", _TABLE_2),
    ("P-SecureML", 2, "LeNet (MNIST)", _TEN_EPOCHS, "683.18 GB", _TABLE_2),
    ("P-SecureML", 2, "AlexNet (CIFAR-10)", _TEN_EPOCHS, "740.50 GB, 40.5 % test accuracy", _TABLE_2),
    ("P-SecureML", 2, "VGG16 (CIFAR-10)", _TEN_EPOCHS, "35,454.91 GB, 54.4 % test accuracy", _TABLE_2),
    ("P-Falcon", 3, "AlexNet (CIFAR-10)", _TEN_EPOCHS, "382.18 GB, 40.7 % test accuracy", _TABLE_2),
    ("P-Falcon", 3, "VGG16 (CIFAR-10)", _TEN_EPOCHS, "17,235.35 GB, 54.3 % test accuracy", _TABLE_2),
    ("Falcon", 3, "AlexNet", _STEP, "0.621 GB", _TABLE_4),
    ("CryptGPU", 3, "AlexNet", _STEP, "1.37 GB", _TABLE_4),
    ("Piranha (P-Falcon)", 3, "AlexNet", _STEP, "0.581 GB", _TABLE_4),
    ("Falcon", 3, "VGG16", _STEP, "1.78 GB", _TABLE_4),
    ("CryptGPU", 3, "VGG16", _STEP, "7.55 GB", _TABLE_4),
    ("Piranha (P-Falcon)", 3, "VGG16", _STEP, "4.261 GB", _TABLE_4),
    (
        "Orca",
        2,
        "CIFAR-10",
        "training with a dealer, online",
        "98 times less communication than Piranha, 26 times faster, 4 % more accurate",
        "Jawalkar, Gupta, Basu, Chandran, Gupta, Sharma, IEEE S&P 2024, eprint 2023/206, abstract",
    ),
    (
        "Cheetah",
        2,
        "ResNet50 (ImageNet)",
        "inference of one image over a WAN",
        "2.3 GB, less than 2.5 minutes",
        "Huang, Lu, Hong, Ding, USENIX Security 2022, eprint 2022/207, abstract",
    ),
)


def published_figures() -> ResultTable:
    columns = [
        ("system", "System"),
        ("parties", "Parties"),
        ("network", "Network"),
        ("what", "What"),
        ("figure", "Published figure"),
        ("source", "Source"),
    ]
    keys = [key for key, _ in columns]
    rows: list[Row] = [{**dict(zip(keys, row, strict=True)), "basis": "published"} for row in _ROWS]
    note = "Other networks, data, precision, security and machines than ours: for orientation, not for ratios."
    return table("Published figures of other systems", columns, rows, note, on_terminal=())
