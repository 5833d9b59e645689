"""deploy/compose.yaml: its services are hardened, and its commands ask for nothing that does not exist."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from containerfile import read_containerfile
from guide_files import ROOT, write_guide_files

from smule_crypten.launch import status
from smule_crypten.launch.side_file import read_dealer, read_party

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FINAL = read_containerfile((ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8"))[1][-1]


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The folders of the services, with the files of the guide in keys."""
    write_guide_files(tmp_path / "keys")
    return tmp_path


def arguments_of(service: dict[str, Any], mounted: Path) -> list[str]:
    """Those of its command, with the paths of the container where they lie here."""
    return [re.sub(r"(?<==)/(?=keys|data|runs)", f"{mounted}/", word) for word in service["command"][1:]]


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_hardened(name: str) -> None:
    """Nothing runs as root, can become it, or writes elsewhere than into /runs and /tmp."""
    service = SERVICES[name]
    assert service["user"] == FINAL.all("USER")[-1].text
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "network_mode", "devices"} & set(service)
    assert service["tmpfs"] == ["/tmp:mode=1777"]
    targets = {volume.rpartition("}/")[2].partition(":")[2] for volume in service["volumes"]}
    assert targets <= {"/keys:ro", "/data:ro", "/runs"}
    assert {"/keys:ro", "/runs"} <= targets
    assert {target.partition(":")[0] for target in targets} <= set(FINAL.all("VOLUME")[0].words)


def test_one_role_a_service() -> None:
    """Each is started by name, never all of them at once on one host."""
    assert set(SERVICES) == {"party-a", "party-b", "dealer"}
    profiles = [service["profiles"] for service in SERVICES.values()]
    assert profiles == [["a"], ["b"], ["dealer"]]


@pytest.mark.parametrize("role", ["a", "b"])
def test_commands_of_the_parties(role: str, mounted: Path) -> None:
    """The side files of the guide, with the settings of the service, are what smule-party takes."""
    service = SERVICES[f"party-{role}"]
    assert service["command"][0] == "smule-party"
    config = read_party(arguments_of(service, mounted))
    assert config.role == role
    assert config.data.path == str(mounted / "data" / f"hospital-{role}.npz")
    assert config.output_dir == str(mounted / "runs" / "first-run")
    assert config.connection is not None
    published = [str(port).partition(":")[0] for port in service.get("ports", [])]
    listens = config.connection.listen
    assert published == ([] if listens is None else [listens.rpartition(":")[2]])


def test_command_of_the_dealer(mounted: Path) -> None:
    service = SERVICES["dealer"]
    assert service["command"][0] == "smule-dealer"
    config = read_dealer(arguments_of(service, mounted))
    assert config.output_dir == str(mounted / "runs")
    assert [port.partition(":")[0] for port in service["ports"]] == [config.listen.rpartition(":")[2]]


@pytest.mark.parametrize("name", SERVICES)
def test_health_checks_look_where_the_service_writes(name: str) -> None:
    """smule-status is asked about the folder that the command was given."""
    service = SERVICES[name]
    kind, command, *arguments = service["healthcheck"]["test"]
    assert (kind, command) == ("CMD", "smule-status")
    (output,) = [word.partition("=")[2] for word in service["command"] if word.startswith("output_dir=")]
    assert str(status.parse(arguments).folder) == output


def test_version_is_that_of_the_package() -> None:
    version = runpy.run_path(str(ROOT / "src" / "smule_crypten" / "_version.py"))["__version__"]
    assert COMPOSE["x-hardened"]["image"] == f"smule-crypten:{version}"
    build = COMPOSE["x-hardened"]["build"]
    assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).is_file()
