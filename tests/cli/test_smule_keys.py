from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smule_crypten.errors import CredentialError, OutputError
from smule_crypten.launch.keys import main
from smule_crypten.transport import credentials
from smule_crypten.transport.credentials import load_identity


def _fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and the one line of error output."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    captured = capsys.readouterr()
    assert captured.err.startswith("smule-keys: error: ")
    assert captured.err.count("\n") == 1
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


def test_init_makes_a_usable_pair_and_says_what_to_send(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The paths, the fingerprint, and in two sentences which file goes to whom and which never leaves."""
    main(["init", "--name", "hospital-a", "--dir", str(tmp_path / "keys")])
    certificate_path, key_path = (tmp_path / "keys" / f"hospital-a.{kind}.pem" for kind in ("crt", "key"))
    identity = load_identity(certificate_path, key_path)
    output = capsys.readouterr().out
    for shown in (str(certificate_path), str(key_path), identity.certificate.fingerprint):
        assert shown in output
    advice = output.split("\n\n")[1]
    assert re.search(r"Send hospital-a\.crt\.pem to the other party \(and to the dealer, where there is one\)", advice)
    assert re.search(r"Never send hospital-a\.key\.pem", advice)


def test_init_writes_here_and_never_prints_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --dir the files are in the working folder; the secret is in one file only."""
    monkeypatch.chdir(tmp_path)
    main(["init", "--name", "a", "--days", "30"])
    captured = capsys.readouterr()
    secret_lines = (tmp_path / "a.key.pem").read_text().splitlines()
    assert len(secret_lines) > 2
    assert not any(line in captured.out + captured.err for line in secret_lines)


def test_show_repeats_what_init_showed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both ends of a telephone call read the same fingerprint, and the days asked for are the days given."""
    main(["init", "--name", "a", "--dir", str(tmp_path), "--days", "30"])
    first = capsys.readouterr().out
    main(["show", str(tmp_path / "a.crt.pem")])
    second = capsys.readouterr().out
    for name in ("fingerprint", "valid from", "valid until", "valid now"):
        (line,) = (line for line in first.splitlines() if line.startswith(name))
        assert line in second.splitlines()
    assert "name:         a\n" in second
    assert "valid now:    yes\n" in second
    certificate = credentials.load_certificate(tmp_path / "a.crt.pem")
    assert 30 <= (certificate.not_after - certificate.not_before).total_seconds() / 86400 < 30.1


def test_show_fails_for_a_certificate_that_is_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything about it is shown, and a script sees by the exit code that it cannot be used."""
    monkeypatch.setattr(credentials, "_CLOCK_SKEW", -credentials.dt.timedelta(hours=5))
    main(["init", "--name", "a", "--dir", str(tmp_path)])
    capsys.readouterr()
    code, output, error = _fails(capsys, "show", str(tmp_path / "a.crt.pem"))
    assert code == CredentialError.exit_code
    assert "valid now:    no\n" in output
    assert "is valid only from" in error


def test_init_does_not_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Running it twice by mistake loses nothing."""
    main(["init", "--name", "a", "--dir", str(tmp_path)])
    before = (tmp_path / "a.key.pem").read_bytes()
    capsys.readouterr()
    code, output, error = _fails(capsys, "init", "--name", "a", "--dir", str(tmp_path))
    assert (code, output) == (CredentialError.exit_code, "")
    assert "a.key.pem exists; choose another name or folder" in error
    assert (tmp_path / "a.key.pem").read_bytes() == before


def test_errors_are_one_line_with_the_promised_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong name, a folder that cannot be and the wrong file of a pair."""
    (tmp_path / "file").write_text("")
    assert _fails(capsys, "init", "--name", "Hospital A")[0] == CredentialError.exit_code
    assert _fails(capsys, "init", "--name", "a", "--days", "0")[0] == CredentialError.exit_code
    assert _fails(capsys, "init", "--name", "a", "--dir", str(tmp_path / "file"))[0] == OutputError.exit_code
    assert _fails(capsys, "show", str(tmp_path / "missing.crt.pem"))[0] == CredentialError.exit_code
    assert _fails(capsys, "show", str(tmp_path / "file"))[0] == CredentialError.exit_code


@pytest.mark.parametrize("arguments", [[], ["init"], ["show"], ["init", "--name", "a", "--days", "x"], ["send"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As with every other setting that is missing or of the wrong type."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: smule-keys" in capsys.readouterr().err


def test_the_command_works_as_a_process_and_for_openssl(tmp_path: Path) -> None:
    """From a shell, whatever the umask; an independent tool reads the certificate and sees the same fingerprint."""
    command = [sys.executable, "-m", "smule_crypten.launch.keys", "init", "--name", "a", "--dir", str(tmp_path)]
    umask = os.umask(0)
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        os.umask(umask)
    assert (tmp_path / "a.key.pem").stat().st_mode & 0o777 == 0o600
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    openssl = ["openssl", "x509", "-in", str(tmp_path / "a.crt.pem"), "-noout", "-fingerprint", "-sha256"]
    printed = subprocess.run(openssl, capture_output=True, text=True, check=True).stdout
    assert printed.strip().partition("=")[2].lower() in shown
