"""`smule-terms`: what it writes and prints, and what it says of mistakes. Whole ways are in tests/hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from terms_files import FILE, make_keys, sign_as, terms_of, write_approved

from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.protocol import JointHeadTerms, PublicFeatures, PublicQuestionTerms
from smule_crypten.launch import terms
from smule_crypten.launch.terms_view import sentences, show_document
from smule_crypten.terms.document import SignedTerms, Terms


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        terms.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def side(tmp_path: Path) -> str:
    """A file of party a on scikit-learn's digits."""
    make_keys(tmp_path)
    (tmp_path / "a.yaml").write_text(
        """
role: a
data: {name: digits}
model: {name: mlp}
output_dir: out
terms: terms.json
disclosure: {max_answers_total: 500}
connection:
  certificate: hospital-a.crt.pem
  key: hospital-a.key.pem
  listen: 127.0.0.1:7701
  peer: {certificate: hospital-b.crt.pem}
"""
    )
    return f"+party={tmp_path / 'a.yaml'}"


def test_what_is_proposed(side: str, tmp_path: Path) -> None:
    """Days stand for their beginning and end, the other side's limits are as they were given, and the data are in."""
    arguments = ["--purpose", "p", "--not-before", "2026-12-01", "--not-after", "2027-01-31"]
    limits = "max_answers_per_exchange=7, max_answers_total=null,logit_noise=0.5"
    assert call("propose", side, *arguments, "--peer-limits", limits) == 0
    found = SignedTerms.model_validate_json((tmp_path / FILE).read_bytes())
    assert found.signatures == ()
    assert (found.terms.not_before, found.terms.not_after) == ("2026-12-01T00:00:00Z", "2027-01-31T23:59:59Z")
    assert found.terms.limits.a == DisclosureLimits(max_answers_total=500)
    assert found.terms.limits.b == DisclosureLimits(max_answers_per_exchange=7, logit_noise=0.5)
    assert (found.terms.protocol.data.input_shape, found.terms.protocol.data.num_classes) == ((1, 8, 8), 10)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--purpose", "p", "--not-after", "soon"], 2, "--not-after: 'soon' is no date; write 2026-12-01"),
        (["--purpose", "p", "--not-after", "2020-01-01"], 2, "not_after: must be later than not_before"),
        (["--purpose", " p\n"], 2, "purpose: must be one line of text"),
        (["--purpose", ""], 2, "purpose: "),
        (["--purpose", "p", "--peer-limits", "max_answers=3"], 2, "'max_answers' is no key"),
        (["--purpose", "p", "--peer-limits", "repeats=many"], 2, "repeats=many is no number"),
        (["--purpose", "p", "--peer-limits", "repeats=-1"], 2, "--peer-limits: repeats: "),
        (["--purpose", "p", "terms=none"], 2, "terms: this side's file names none; name the file"),
        (["--purpose", "p", "data=npz", "data.path=gone.npz"], 3, "gone.npz"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], code: int, text: str, side: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and nothing is written."""
    assert call("propose", side, *arguments) == code
    error = capsys.readouterr().err
    assert text in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / FILE).exists()


def test_no_file_is_written_over(side: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE).write_text("mine")
    assert call("propose", side, "--purpose", "p") == 5
    assert call("sign", side) == 15
    assert call("verify", side) == 15
    assert (tmp_path / FILE).read_text() == "mine"
    assert "Traceback" not in capsys.readouterr().err


def shown(document: SignedTerms) -> str:
    console = Console(width=100, force_terminal=False, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        show_document(document, console)
    return captured.get()


def test_what_is_shown(tmp_path: Path) -> None:
    """Who, when, how much, by whom signed; `show` verifies nothing, and says so."""
    once = sign_as(tmp_path, "a", SignedTerms(terms=terms_of(tmp_path)))
    text = shown(once)
    assert "not verified by `show`" in text
    assert "not signed" in text
    for part in (
        "Purpose. triage of chest radiographs",
        "No third organisation takes part",
        "both together about at most 100 samples, 50 % of them party a's",
        "Limits of party b. Its network answers about at most 2,000 in all",
        "2 outputs: no, yes",
        "  exchange.num_queries: 50",
    ):
        assert part in text, part
    assert "not signed" not in shown(write_approved(tmp_path))


@pytest.mark.parametrize(
    ("reveal", "part"),
    [
        ("nobody", "at most 250 times in all runs that the ledger of the other one counts"),
        ("both", "Then they are revealed to both, with noise, and tell each of sums over the other one's samples."),
    ],
)
def test_a_joint_head_and_features_are_told(reveal: str, part: str, tmp_path: Path) -> None:
    """Who signs reads what else is computed of the samples of both, and what is opened of it."""
    terms = terms_of(tmp_path)
    head = JointHeadTerms(name="ridge", answers=250, reveal=reveal, features=1001)
    changed = terms.protocol.model_copy(update={"joint_head": head, "features": PublicFeatures(name="patches")})
    text = " ".join(sentences(terms.model_copy(update={"protocol": changed})))
    assert "linear model of the labelled samples of both, on 1,001 features" in text
    assert part in text
    assert "Each applies the public map patches to its own samples beforehand." in text
    assert "Joint head" not in " ".join(sentences(terms))


def test_no_limit_of_all_is_told_as_none(tmp_path: Path) -> None:
    """Runs may be repeated, so a plan limits nothing; and a limit is one of a ledger."""
    terms = terms_of(tmp_path)
    limits = terms.limits.model_copy(update={"a": DisclosureLimits()})
    text = " ".join(sentences(terms.model_copy(update={"limits": limits})))
    assert "any number of runs may begin" in text
    assert "as much as the plan asks for, without a limit of all" in text
    assert "about at most 2,000 in all that one ledger counts" in text


def test_sentences_follow_what_is_agreed_on(tmp_path: Path) -> None:
    """All of a side's samples, a limit of bytes, public samples, a dealer, columns."""
    terms = terms_of(tmp_path)
    protocol = terms.protocol
    exchange = protocol.exchange.model_copy(update={"num_queries": None, "budget_mb": 5.0, "every": 1})
    pool = PublicQuestionTerms(digest="d", num_samples=3000, num_queries=9)
    data = protocol.data.model_copy(update={"columns": {"age": "1. numeric"}, "class_names": None})
    changed = protocol.model_copy(update={"exchange": exchange, "public_pool": pool, "data": data})
    certificates = terms.certificates.model_copy(
        update={"dealer": terms.certificates.a.model_copy(update={"name": "trustee"})}
    )
    text = " ".join(sentences(terms.model_copy(update={"protocol": changed, "certificates": certificates})))
    for part in (
        "each about all of its samples, and no more than 5 MB pay for",
        "trustee deals random numbers to both",
        "at the start of every epoch",
        "about 3,000 samples that both have",
        "which both read: age",
        "2 outputs: numbered only",
    ):
        assert part in text, part


def test_a_file_of_somebody_else_moves_no_cursor(tmp_path: Path) -> None:
    """Class names may hold anything; what is printed holds no control character."""
    terms = terms_of(tmp_path)
    data = terms.protocol.data.model_copy(update={"class_names": ("no\x1b[2J", "\u202eyes")})
    evil = terms.model_copy(update={"protocol": terms.protocol.model_copy(update={"data": data})})
    text = shown(SignedTerms(terms=Terms.model_validate(evil.model_dump())))
    assert all(char.isprintable() or char == "\n" for char in text)
