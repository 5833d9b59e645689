from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from npz_files import draw, save_npz
from smule_command import MainRun, call, digest_of

from smule_crypten.files import LOCK_FILE, exclusive

BAD_SETTINGS = {
    "unknown key": (["training.epochz=2"], 2, "training.epochz: unknown key; did you mean training.epochs?"),
    "unknown added key": (["+extra=1"], 2, "extra: unknown key"),
    "unknown option": (
        ["data.options.layot=NHWC"],
        2,
        "did you mean layout? known: class_names, layout, num_classes",
    ),
    "unknown choice": (["data=digitz"], 2, "data: no choice 'digitz' (did you mean digits? known: breast_cancer,"),
    "unknown network choice": (["party_b/model=lenett"], 2, "party_b/model: no choice 'lenett' (did you mean lenet?"),
    "unknown scheme": (
        ["scheme.name=cryptn"],
        2,
        "'cryptn' (did you mean crypten? known: crypten, lean, plaintext, two_party)",
    ),
    "ledger of a simulation": (
        ["party_a.disclosure.ledger=kept.jsonl"],
        2,
        "party_a.disclosure.ledger: was removed: parties of a simulation throw their certificates away",
    ),
    "unknown scheme option": (
        ["scheme=lean", "scheme.options.ring_bit=32"],
        2,
        "scheme.options.ring_bit: unknown option (did you mean ring_bits?",
    ),
    "useless scheme option": (
        ["scheme=crypten", "scheme.options.ring_bits=32"],
        2,
        "scheme.options.ring_bits: unknown option (no options are known here)",
    ),
    "unknown network": (["party_a.model.name=lenett"], 2, "unknown network 'lenett' (did you mean lenet?"),
    "unknown data set": (["data.name=digitz"], 2, "unknown data set 'digitz' (did you mean digits?"),
    "wrong type": (["training.epochs=two"], 2, "training.epochs: Input should be a valid integer, got 'two'"),
    "fraction for a count": (["training.epochs=2.5"], 2, "training.epochs: Input should be a valid integer, got 2.5"),
    "out of range": (["seed=-1"], 2, "seed: Input should be greater than or equal to 0, got -1"),
    "too large": (["seed=18446744073709551615"], 2, "seed: Input should be less than or equal to 4294967295, got 184"),
    "not an override": (["training.epochs"], 2, "cannot read the override 'training.epochs'; write key=value"),
    "missing interpolation": (["seed=${nothing}"], 2, "Interpolation key 'nothing' not found"),
    "insecure unasked": (["allow_insecure=false"], 2, "randomness=seeded_insecure"),
    "no classes for a": (["partition.classes_a=[]"], 2, "by_class needs classes_a"),
    "class that is none": (["partition.classes_a=[0,9]"], 2, "there is no class 9; classes are 0..3"),
    "no list": (
        ["data.options.ignore=age", "data=table", "data.path=x.csv", "data.target=y"],
        2,
        "takes a list in brackets",
    ),
    "useless path": (["data=digits"], 2, "data.path: has no effect on data set 'digits'"),
    "no exchange": (
        ["exchange.warmup_epochs=3"],
        2,
        "exchange.warmup_epochs=3 leaves no exchange in training.epochs=3",
    ),
    "unknown trust rule": (
        ["training.trust=blind"],
        2,
        "training.trust: Input should be 'none' or 'adaptive', got 'blind'",
    ),
    "removed key": (["exchange.max_age=3"], 2, "exchange.max_age: was removed: an answer is kept until"),
    "removed key, added": (["+exchange.max_age=3"], 2, "exchange.max_age: was removed: an answer is kept until"),
    "removed key in a section": (
        ["exchange.queries={selection:margin,known_fraction:0.2}"],
        2,
        "exchange.queries.selection: was removed: samples are chosen uniformly",
    ),
    "removed choice": (["training.trust=accuracy"], 2, "training.trust: accuracy was removed: no rule was shown"),
    "unknown device": (["device=gpu"], 2, "device=gpu cannot be used here"),
    "constants of other images": (["data.mean=[0.1,0.2,0.3]"], 2, "data.mean: 3 values for inputs with 1 channel(s)"),
    "missing path": (["data.path=null"], 2, "data.path: data set 'npz' needs it"),
    "missing file": (["data.path=nowhere.npz"], 3, "cannot read nowhere.npz"),
    "large batch": (["training.batch_size=81"], 3, "party a has 72 training samples, fewer than one batch"),
    "all classes at a": (["partition.classes_a=[0,1,2,3]"], 3, "leaves none to party b"),
    "large network": (["party_b/model=torchvision", "party_b.model.options.arch=alexnet"], 4, "images of 1x8x8"),
}

BAD_NETWORKS = {
    "one_class_too_many": (4, "answers 2 images of 1x8x8 with (2, 5), expected logits of shape (2, 4)"),
    "for_larger_images": (4, "cannot be applied to images of 1x8x8"),
    "with_softmax": (4, "Softmax) cannot be evaluated on secret shares"),
    "hooked": (4, "there is a hook on the network itself"),
    "half": (4, "1.weight is torch.float16, and images are torch.float32; call .float()"),
    "wrapped": (4, "the network DataParallel is wrapped by nn.DataParallel"),
    "broken": (4, "user_networks.broken failed with ZeroDivisionError: a bug"),
    "no_network": (4, "returned a str; return a torch.nn.Module"),
    "that_is_missing": (2, "cannot import user_networks.that_is_missing"),
}


class Refusal:
    """`smule` in this process, which must refuse in one line and leave nothing behind."""

    def __init__(
        self, problem: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self._problem = problem
        self._run_dir = folder / "refused"
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def check(self, overrides: list[str], exit_code: int, text: str) -> None:
        self.check_line([f"hydra.run.dir={self._run_dir}", *overrides], exit_code, text)
        assert not self._run_dir.exists()

    def check_line(self, overrides: list[str], exit_code: int, text: str) -> None:
        assert call(self._monkeypatch, *self._problem, *overrides) == exit_code
        check_one_line(self._capfd.readouterr().err, text)


def check_one_line(errors: str, text: str) -> None:
    (line,) = errors.splitlines()
    assert line.startswith("smule: error: ")
    assert text in line


@pytest.fixture
def refusal(
    problem: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refusal:
    return Refusal(problem, tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings(case: str, refusal: Refusal) -> None:
    """A setting that is unknown, of the wrong type or impossible is named, with what is valid."""
    refusal.check(*BAD_SETTINGS[case])


@pytest.mark.parametrize("network", BAD_NETWORKS)
def test_bad_networks(network: str, refusal: Refusal) -> None:
    """A network of the user that does not fit the data, or cannot be shared, is refused before anything starts."""
    target = f"party_a.model.options._target_=user_networks.{network}"
    refusal.check(["party_a/model=target", target], *BAD_NETWORKS[network])


def test_bad_data(tmp_path: Path, refusal: Refusal) -> None:
    """Data that cannot be read or learned from are refused, with the place of the first bad sample."""
    inputs_NX, labels_N = draw(160, seed=0)
    labels_N[5] = 7
    infinite, nan = (np.full((160, 1, 8, 8), value, np.float32) for value in (np.inf, np.nan))
    corrupt = tmp_path / "corrupt.npz"
    corrupt.write_bytes(save_npz(tmp_path / "whole.npz").read_bytes()[:2000])
    cases = [
        ("label 7 of sample 5 is outside 0..3", save_npz(tmp_path / "labels.npz", y_train=labels_N)),
        ("label -1 of sample 0 is outside", save_npz(tmp_path / "negative.npz", y_train=np.full(160, -1))),
        ("sample 0 holds NaN or infinite", save_npz(tmp_path / "nan.npz", x_train=nan, x_test=nan[:80])),
        ("sample 0 holds NaN or infinite", save_npz(tmp_path / "inf.npz", x_train=infinite, x_test=infinite[:80])),
        ("split 'test'", save_npz(tmp_path / "empty.npz", x_test=inputs_NX[:0], y_test=labels_N[:0])),
        ("cannot read", corrupt),
    ]
    for text, path in cases:
        refusal.check([f"data.path={path}", "data.options.num_classes=4"], 3, text)


def test_bad_run_folders(main_run: MainRun, tmp_path: Path, refusal: Refusal) -> None:
    """A folder that cannot be written, or that holds a run already, is refused and stays as it is."""
    (tmp_path / "file").write_text("mine")
    refusal.check_line([f"hydra.run.dir={tmp_path}/file/run"], 5, f"cannot write {tmp_path}/file/run: Not a directory")
    assert (tmp_path / "file").read_text() == "mine"
    before = digest_of(main_run.folder)
    refusal.check_line([f"hydra.run.dir={main_run.folder}"], 5, "holds a finished run; set another folder")
    assert digest_of(main_run.folder) == before


def test_a_run_folder_in_use(tmp_path: Path, refusal: Refusal) -> None:
    """A second run in a folder where one goes on, or whose sweep goes on, ends before it writes anything."""
    held, sweep = tmp_path / "held", tmp_path / "sweep"
    for folder in (held / "party_b", sweep):
        folder.mkdir(parents=True)
    (held / "summary.json").write_text('{"status": "running"}')
    with exclusive(held / "party_b" / LOCK_FILE, "x", if_taken=""), exclusive(sweep / LOCK_FILE, "x", if_taken=""):
        refusal.check_line([f"hydra.run.dir={held}"], 5, f"{held}/party_b is in use by another run; wait until")
        refusal.check_line(
            ["hydra.mode=MULTIRUN", "seed=0,1", f"hydra.sweep.dir={sweep}"], 5, f"{sweep} is in use by another run"
        )
    assert [path.name for path in sweep.iterdir()] == [LOCK_FILE]
    assert (held / "summary.json").read_text() == '{"status": "running"}'


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_default_names_differ(
    key: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Two runs that are started in the same second get a folder each."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert call(monkeypatch, "--cfg", "hydra", "--resolve", "--package", key) == 0
    first, second = (line for line in capfd.readouterr().out.splitlines() if line.startswith("runs/"))
    assert first != second


def test_half_a_party(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that shall be one party says which variable is missing or wrong."""
    monkeypatch.setenv("SMULE_ROLE", "c")
    refusal.check([], 2, "environment variable SMULE_RENDEZVOUS is not set")
    monkeypatch.setenv("SMULE_RENDEZVOUS", "file:///nowhere")
    refusal.check([], 2, "SMULE_ROLE=c: no such role")


def test_a_party_without_a_peer(tmp_path: Path, refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A party waits for the other no longer than it was told to, and says for whom and where."""
    rendezvous = f"file://{tmp_path}/rendezvous"
    for key, value in {"SMULE_ROLE": "a", "SMULE_RENDEZVOUS": rendezvous}.items():
        monkeypatch.setenv(key, value)
    overrides = [f"hydra.run.dir={tmp_path}/alone", "launch.join_seconds=0.5"]
    refusal.check_line(overrides, 6, f"party b did not come to {rendezvous} within 0.5 seconds")
