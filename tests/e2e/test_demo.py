"""The demo as a newcomer runs it: embedded and on a real Kafka, undisturbed and killed, always the same account."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
KILLS = 3


def command(folder: Path, account: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "examples.demo", "--data", str(folder), "--json", str(account), *more]


def run(folder: Path, *more: str, **environ: str) -> dict[str, Any]:
    account = folder.parent / f"{folder.name}.json"
    done = subprocess.run(
        command(folder, account, *more),
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(account.read_text())
    return found


def without_time(account: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in account.items() if name != "seconds"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from gateways.app import forget_local

    made = tmp_path_factory.mktemp("demo")
    yield made
    for data in made.iterdir():
        if data.is_dir():
            forget_local(data)


@pytest.fixture(scope="module")
def embedded(folder: Path) -> dict[str, Any]:
    return run(folder / "embedded")


def test_the_account_is_whole(embedded: dict[str, Any]) -> None:
    assert embedded["verified"] == {"decisions": True, "projections": True}
    assert embedded["chain"] is True
    assert set(embedded["ledger_sum"].values()) == {0}
    assert set(embedded["ledger_sum"]) == {"EUR", "POINT"}
    assert embedded["energy_balance_wh"] == 0
    assert len(embedded["refusals"]) >= 4
    assert embedded["contracts_lapsed"] == 1
    assert embedded["opt_outs"] == 1
    assert embedded["settlement_runs"] == 3, "two areas first, one again after the correction"
    assert embedded["credit_notes"] >= 1
    assert embedded["trades"] > 500
    assert embedded["shared_wh"] > 0
    negotiated = {"approved": 1, "given up": 1, "awarded": 2, "of the block": 2}
    assert embedded["contracts"] == embedded["trades"] + sum(negotiated.values()), "every trade is a contract"


def test_each_kind_of_deal_leads_somewhere(embedded: dict[str, Any]) -> None:
    market = embedded["market"]
    assert market["auctions"] > 40
    assert market["auctions_failed"] == 0
    assert market["auctioned_wh"] > 50_000
    assert market["continuous_wh"] > 50_000
    assert (market["listing_bids"], market["listing_awards"]) == (3, 2)
    assert market["listing_delivered_wh"] > 0
    assert market["block_zones"] == ["lv1-101", "lv5-201"], "a seller of each community"
    assert market["block_wh"] == market["block_delivered_wh"] == 3_200
    assert (market["mandates"], market["mandate_forecasts"]) == (3, 6)
    assert market["mandate_orders"] > 100
    assert market["mandate_traded_wh"] > 0
    assert (market["orders_amended"], market["amended_traded_wh"]) == (1, 200)
    assert (market["rebids"], market["rebid_traded_wh"]) == (1, 500)
    assert market["line_full_intervals"] > 0
    assert market["line_overfull_intervals"] == 0
    assert market["line_home_wh_while_full"] > 0, "what cannot cross trades at home"
    assert market["margin_calls"] == {"met": 1}, "answered in time: nobody is in default"


def test_on_kafka_it_is_the_same_account(folder: Path, embedded: dict[str, Any], kafka_bootstrap: str) -> None:
    on_kafka = run(folder / "kafka", "--kafka", KAFKA_BOOTSTRAP=kafka_bootstrap)
    assert without_time(on_kafka) == without_time(embedded)


def test_killed_at_random_moments_it_ends_with_the_same_account(folder: Path, embedded: dict[str, Any]) -> None:
    data, account = folder / "killed", folder / "killed.json"
    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(data, account), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(1.5 + rng.random() * max(1.0, embedded["seconds"] / 3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert without_time(run(data)) == without_time(embedded), f"kill moments of seed {seed}"


def test_a_finished_day_is_shown_again(folder: Path, embedded: dict[str, Any]) -> None:
    assert without_time(run(folder / "embedded")) == without_time(embedded)


@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        ((), {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "PostgreSQL does not answer at"),
        (("--kafka",), {"KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "KAFKA_BOOTSTRAP is 127.0.0.1:1"),
    ],
)
def test_an_unreachable_server_is_one_sentence(
    tmp_path: Path, options: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    from gateways.app import forget_local

    done = subprocess.run(
        command(tmp_path / "data", tmp_path / "account.json", *options),
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    forget_local(tmp_path / "data")
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "account.json").exists()


def test_of_a_damaged_sample_file_nothing_is_recorded(tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    shutil.copytree(ROOT / "examples" / "sample", sample)
    resources = sample / "lv5-201" / "resources.csv"
    lines = resources.read_text().splitlines()
    lines[4] = lines[4].replace("lv5-201-c", "nowhere-c", 1)
    resources.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        command(tmp_path / "data", tmp_path / "account.json", "--sample", str(sample)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "resources.csv, line 5" in said
    assert "expected" in said
    assert "nowhere-c" in said
    assert "Traceback" not in said + done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("options", [(), ("--fresh",)])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, options: tuple[str, ...]) -> None:
    thesis = tmp_path / "mine" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    done = subprocess.run(
        command(tmp_path / "mine", tmp_path / "account.json", *options),
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert thesis.read_text() == "years of work"
    if options:
        assert "holds no deployment of ours" in " ".join(done.stdout.split())


@pytest.mark.parametrize("where", ["a file/data", "nowhere/account.json"])
def test_an_unusable_place_is_one_sentence(tmp_path: Path, where: str) -> None:
    (tmp_path / "a file").write_text("")
    data = tmp_path / where if "data" in where else tmp_path / "data"
    account = tmp_path / where if "account" in where else tmp_path / "account.json"
    done = subprocess.run(command(data, account), cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert "choose another" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr
