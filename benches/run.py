"""Measures rotator beside what a user would write instead, and writes the tables of docs/performance.md.

Run by `scripts/bench`. `--quick` makes one round of the small cases, to see that the benchmark works.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from support import ROTATOR, Rotator, Sandbox, check_rotated, entries_of, measured, users

PEER = os.path.join(os.path.dirname(__file__), "peer.py")
BETTERLEAKS = os.path.join(os.path.dirname(__file__), "betterleaks.py")
PAGE = "docs/performance.md"
BEGIN, END = "<!-- written by scripts/bench: begin -->", "<!-- written by scripts/bench: end -->"
# Calls of one rotation without overlap and quarantine, with one confirmation.
CALLS = 7
CONCURRENCY = 64


class Goal:
    """One row: what was measured, and what it has to be."""

    def __init__(self, name, figure, goal, met, beside="", note=""):
        self.row = (name, figure, goal, {True: "yes", False: "**no**", None: "–"}[met], beside, note)


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def median(values):
    return statistics.median(values)


def rotate(count, latency=0, seed=1, journal=None, prepare=None, **behaviour):
    """One run over `count` keys. Returns what it took and its calls."""
    made = users(count, seed)
    settings = {}
    with Sandbox() as sandbox, Rotator(sandbox, CONCURRENCY, **settings) as rotator:
        sandbox.setup(made, latency, **behaviour)
        rotator.import_entries(entries_of(made))
        if journal:
            rotator.env["ROTATOR_JOURNAL"] = journal
        rotator.env["ROTATOR_LOG"] = "rotator::adapters::sqlite_journal=debug"
        stop = prepare() if prepare else None
        took = rotator.run("run", "--yes")
        if stop:
            stop()
        if took.status != 0:
            raise RuntimeError(f"rotator ended with {took.status}: {took.stderr[-2000:]}")
        took.calls = check_rotated(sandbox, made)
        took.failed = took.stderr.count("was not rotated")
        return took


def peer(count, kind, threads, latency=0, seed=1, **behaviour):
    """One run of the boto3 script over the same keys."""
    made = users(count, seed)
    folder = tempfile.mkdtemp(prefix="rotator-bench-")
    try:
        with Sandbox() as sandbox:
            sandbox.setup(made, latency, **behaviour)
            store, journal = f"{folder}/store.db", f"{folder}/journal.db"
            with sqlite3.connect(store) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("CREATE TABLE entry (user TEXT PRIMARY KEY, value TEXT)")
                values = {name.removesuffix("/aws"): value for name, value in entries_of(made).items()}
                connection.executemany("INSERT INTO entry VALUES (?, ?)", values.items())
            connection.close()
            env = {"PATH": os.environ["PATH"], "HOME": folder, **sandbox.env}
            took = measured([sys.executable, PEER, str(threads), kind, store, journal], env)
            if took.status != 0:
                raise RuntimeError(f"the peer ended with {took.status}: {took.stderr[-2000:]}")
            check_rotated(sandbox, made)
            return took
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def interleaved(rounds, *runs):
    """Runs each function once a round. Returns the results by function."""
    results = [[] for _ in runs]
    for number in range(rounds):
        for result, run in zip(results, runs):
            result.append(run(seed=number + 1))
    return results


def walls(results):
    return [result.wall for result in results]


def latencies(rounds):
    rows = []
    for latency, must in ((50, 1.08), (10, 1.35)):
        bound = 1000 / CONCURRENCY * CALLS * latency / 1000
        ours, theirs = interleaved(rounds, lambda seed: rotate(1000, latency, seed),
                                   lambda seed: peer(1000, "simple", 64, latency, seed))
        ratio = median(walls(ours)) / bound
        rows.append(Goal(f"1,000 keys, {latency} ms: wall time in s", spread(walls(ours)), "", None,
                         f"boto3, 64 threads, 3 calls: {spread(walls(theirs))}"))
        rows.append(Goal(f"÷ bound of {CALLS} calls ({bound:.2f} s)", f"{ratio:.2f}", f"≤ {must}", ratio <= must))
    return rows


def without_latency(rounds):
    rows = []
    ours, theirs = interleaved(rounds, lambda seed: rotate(1000, 0, seed), lambda seed: peer(1000, "equal", 16, 0, seed))
    times = median(walls(theirs)) / median(walls(ours))
    rows.append(Goal("1,000 keys, 0 ms: wall time in s", spread(walls(ours)), "", None,
                     f"boto3, 16 threads, equal work: {spread(walls(theirs))}"))
    rows.append(Goal("times as fast as boto3 with equal work", f"{times:.1f}", "≥ 10", times >= 10))
    cpu = median([run.cpu for run in ours])
    rows.append(Goal("CPU for a key in ms, 1,000 keys", f"{cpu:.2f}", "≤ 1.2", cpu <= 1.2))
    rows.append(Goal("resident memory in MiB, 1,000 keys", f"{max(run.peak_mib for run in ours):.0f}", "≤ 64",
                     max(run.peak_mib for run in ours) <= 64))
    iam = sum(count for name, count in ours[0].calls.items() if name != "GetCallerIdentity") / 1000
    sts = (ours[0].calls["GetCallerIdentity"] - 1) / 1000
    rows.append(Goal("calls for a key: IAM; STS", f"{iam:.2f}; {sts:.2f}", "≤ 4; ≤ 3", iam <= 4.01 and sts <= 3.01))
    lines, commits = journal_of(ours[0])
    rows.append(Goal("journal lines for each commit", f"{lines / commits:.1f}", "≥ 8", lines / commits >= 8))
    return rows


def journal_of(run):
    """The lines and the commits that the journal reports when it is closed."""
    said = [line for line in run.stderr.splitlines() if "the journal is closed" in line][-1]
    fields = dict(field.split("=") for field in said.replace("\x1b[0m", "").split() if "=" in field)
    return int(fields["changes"]), int(fields["commits"])


def ten_thousand(rounds):
    ours, theirs = interleaved(rounds, lambda seed: rotate(10_000, 0, seed),
                               lambda seed: peer(10_000, "simple", 16, 0, seed))
    times = median(walls(theirs)) / median(walls(ours))
    cpu, memory = median([run.cpu for run in ours]) / 10, max(run.peak_mib for run in ours)
    return [
        Goal("10,000 keys, 0 ms: wall time in s", spread(walls(ours)), "", None,
             f"boto3, 16 threads, 3 calls: {spread(walls(theirs))}"),
        Goal("times as fast as boto3 that does less", f"{times:.1f}", "≥ 3", times >= 3),
        Goal("CPU for a key in ms, 10,000 keys", f"{cpu:.2f}", "≤ 1.2", cpu <= 1.2),
        Goal("resident memory in MiB, 10,000 keys", f"{memory:.0f}", "≤ 64", memory <= 64),
    ]


def plans(rounds):
    rows, rates = [], []
    for count in (1000, 4000, 10_000):
        made = users(count)
        with Sandbox() as sandbox, Rotator(sandbox, CONCURRENCY) as rotator:
            sandbox.setup(made)
            rotator.import_entries(entries_of(made))
            took = [rotator.run("plan") for _ in range(rounds)]
        rates.append(count / median(walls(took)))
        rows.append(Goal(f"`plan`, {count:,} keys, 0 ms: wall time in s", spread(walls(took)), "", None))
    rows.append(Goal("`plan`, 10,000 keys: keys a second", f"{rates[-1]:,.0f}", "≥ 8,000", rates[-1] >= 8000))
    return rows


def growth(rounds):
    """A run of 100,000 keys beside runs of 1,000."""
    few = [rotate(1000, 0, seed + 1) for seed in range(rounds)]
    many = rotate(100_000)
    ratio = (100_000 / many.wall) / (1000 / median(walls(few)))
    return [
        Goal("100,000 keys, 0 ms: wall time in s", f"{many.wall:.0f}", "", None),
        Goal("keys a second ÷ those of 1,000 keys", f"{ratio:.2f}", "≥ 0.85", ratio >= 0.85),
        Goal("resident memory in MiB, 100,000 keys", f"{many.peak_mib:.0f}", "≤ 64", many.peak_mib <= 64),
    ]


def many_entries(rounds, count):
    made = users(100)
    entries = entries_of(made)
    for number in range(count - len(entries)):
        text = f"{number} The password of the database is not here. " + "configuration of a service, line by line; " * 20
        entries[f"noise{number % 2000:04}/live/entry{number}"] = text[:900]
    size = sum(map(len, entries.values())) / 1e6
    with Sandbox() as sandbox, Rotator(sandbox, CONCURRENCY) as rotator:
        sandbox.setup(made)
        rotator.import_entries(entries)
        took = [rotator.run("plan") for _ in range(rounds)]
    rate, memory = size / median(walls(took)), max(run.peak_mib for run in took)
    return [
        Goal(f"`plan` over {count:,} entries of 0.9 KB: wall time in s", spread(walls(took)), "", None),
        Goal("MB a second", f"{rate:.0f}", "≥ 100", rate >= 100),
        Goal("resident memory in MiB", f"{memory:.0f}", "≤ 64", memory <= 64),
    ]


def throttled(rounds):
    ours, theirs = interleaved(rounds, lambda seed: rotate(100, 10, seed, rate_limit=20),
                               lambda seed: peer(100, "simple", 64, 10, seed, rate_limit=20))
    # The most frequent call decides: three proofs for each key, and one of rotator's own credentials.
    bound = (301 - 20) / 20
    ratio = median(walls(ours)) / bound
    useful = 100 * CALLS + 1
    more = median([sum(run.calls.values()) for run in ours]) - useful
    failed = sum(run.failed for run in ours)
    return [
        Goal("quota of 20 calls/s, 100 keys, 10 ms: wall time in s", spread(walls(ours)), "", None,
             f"boto3, 64 threads, 3 calls: {spread(walls(theirs))}"),
        Goal(f"÷ bound ({bound:.2f} s)", f"{ratio:.2f}", "≤ 1.15", ratio <= 1.15),
        Goal("throttled calls for each useful one", f"{more / useful:.2f}", "≤ 0.6", more / useful <= 0.6),
        Goal("keys that failed", f"{failed}", "0", failed == 0),
    ]


def propagation(rounds):
    runs = [rotate(1000, 50, seed + 1, invalid_for_ms=5000) for seed in range(rounds)]
    more = median(walls(runs)) - 1000 / CONCURRENCY * CALLS * 0.05 - 5
    proofs = median([run.calls["GetCallerIdentity"] for run in runs]) / 1000
    return [
        Goal("new keys answer after 5 s, 1,000 keys, 50 ms: wall time beyond the bound and 5 s, in s", f"{more:.2f}",
             "≤ 2", more <= 2),
        Goal("proofs for a key", f"{proofs:.1f}", "≤ 8", proofs <= 8),
    ]


def journal_on_disk(rounds):
    memory = f"/dev/shm/rotator-bench-{os.getpid()}"

    def in_memory(seed):
        os.mkdir(memory, 0o700)
        try:
            return rotate(1000, 50, seed, journal=f"{memory}/journal.db")
        finally:
            shutil.rmtree(memory, ignore_errors=True)

    disk, shm = interleaved(rounds, lambda seed: rotate(1000, 50, seed), in_memory)
    ratio = median(walls(disk)) / median(walls(shm))
    return [Goal("wall time with the journal on disk ÷ in memory, 50 ms", f"{ratio:.3f}", "≤ 1.05", ratio <= 1.05)]


def busy(rounds):
    def loops():
        processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]

        def stop():
            for process in processes:
                process.kill()
                process.wait()

        return stop

    runs = [rotate(1000, 10, seed + 1, prepare=loops) for seed in range(rounds)]
    ratio = median(walls(runs)) / (1000 / CONCURRENCY * CALLS * 0.01)
    return [Goal("two busy loops beside it, 1,000 keys, 10 ms: wall time ÷ bound", f"{ratio:.2f}", "≤ 2.0", ratio <= 2)]


def large_journal(rounds, closed, open_ones=1000):
    """`status` and `resume` over a journal with many closed rotations. Each of these has one line."""
    made = users(open_ones)
    with Sandbox() as sandbox, Rotator(sandbox, CONCURRENCY) as rotator:
        sandbox.setup(made)
        rotator.import_entries(entries_of(made))
        rotator.run("run", "--yes", "--overlap", "30d")
        with sqlite3.connect(f"{rotator.home}/journal.db") as connection:
            columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(rotation)") if name != "number"]
            row = dict(zip(columns, connection.execute(f"SELECT {', '.join(columns)} FROM rotation LIMIT 1").fetchone()))
            event = connection.execute("SELECT event FROM entry WHERE seq = 1 LIMIT 1").fetchone()[0]
            row |= {"open": 0, "blocked": 0, "in_doubt": None, "state": "deleted-old", "seq": 1,
                    "campaign": str(uuid.uuid4())}
            one = row["id"]
            for begin in range(0, closed, 50_000):
                ids = [str(uuid.uuid4()) for _ in range(min(50_000, closed - begin))]
                rows = [{**row, "id": new, "summary": row["summary"].replace(one, new)} for new in ids]
                connection.executemany(
                    f"INSERT INTO rotation ({', '.join(columns)}) VALUES ({', '.join(':' + name for name in columns)})",
                    rows)
                connection.executemany("INSERT INTO entry VALUES (?, 1, ?, ?)",
                                       [(new, row["opened_at"], event) for new in ids])
                connection.commit()
        connection.close()
        took = [rotator.run("status") for _ in range(rounds * 4)]
        nothing = [measured(["/bin/true"], rotator.env) for _ in range(rounds * 4)]
        shown = took[0].stdout.count("stored-new")
        if shown != open_ones:
            raise RuntimeError(f"status shows {shown} rotations")
        first = [first_call(rotator) for _ in range(rounds)]
    status, call = median(walls(took)) * 1000, median(first) * 1000
    return [
        Goal(f"`status`, {closed:,} closed and {open_ones:,} open rotations, in ms", f"{status:.1f}", "≤ 5", status <= 5,
             f"`/bin/true`: {median(walls(nothing)) * 1000:.1f}"),
        Goal("`resume` of that journal: until the first call, in ms", f"{call:.1f}", "≤ 25", call <= 25),
    ]


def first_call(rotator):
    """Seconds from the start of the process until it connects."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        env = {**rotator.env, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        began = time.monotonic()
        process = subprocess.Popen([ROTATOR, "resume"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        listener.settimeout(30)
        connection, _ = listener.accept()
        took = time.monotonic() - began
        process.kill()
        process.wait()
        connection.close()
        return took


def parts_program():
    """The program of `cargo bench --bench parts`."""
    if named := os.environ.get("ROTATOR_BENCH_PARTS"):
        return named
    built = subprocess.run(["cargo", "bench", "--locked", "--no-run", "--bench", "parts", "--message-format=json"],
                           capture_output=True, text=True, check=True).stdout
    messages = (json.loads(line) for line in built.splitlines())
    return [message["executable"] for message in messages if message.get("executable")][-1]


def searched(program):
    """Bytes a second of the search for 10,000 ids in the records of all kinds, on one core."""
    one_core = {min(os.sched_getaffinity(0))}
    took = subprocess.run([program, "--bench", "decode_and_scan_all_kinds"], capture_output=True, text=True, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, one_core)).stdout
    # The line after that of the times has the rates: fastest, slowest, median, mean.
    lines = took.splitlines()
    rates = lines[next(at for at, line in enumerate(lines) if " 10000 " in line) + 1].split("│")
    number, unit = rates[[at for at, rate in enumerate(rates) if "B/s" in rate][2]].split()[:2]
    return float(number) * {"KB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9}[unit]


def searches(rounds):
    """The search of values in memory beside that of betterleaks, over the same records."""
    program = parts_program()
    with tempfile.TemporaryDirectory(prefix="rotator-bench-") as folder:
        records = f"{folder}/records.json"
        subprocess.run([program], env={**os.environ, "ROTATOR_BENCH_RECORDS": records}, check=True)

        def betterleaks(seed):
            found = subprocess.run([sys.executable, BETTERLEAKS, records], capture_output=True, text=True, check=True)
            return json.loads(found.stdout)

        ours, theirs = interleaved(rounds, lambda seed: searched(program), betterleaks)
    rate, other = median(ours) / 1e6, median([found["bytes"] / found["seconds"] for found in theirs]) / 1e6
    return [
        Goal("search of values in memory, records of 1 KB, one in ten with a key, one core: MB a second",
             f"{rate:.0f} ({min(ours) / 1e6:.0f}–{max(ours) / 1e6:.0f})", "≥ 400", rate >= 400,
             f"betterleaks {theirs[0]['version'].removeprefix('v')} with its AWS rule alone: {other:.0f}"),
        Goal("times as fast as betterleaks", f"{rate / other:.1f}", "≥ 10", rate / other >= 10),
    ]


def size():
    mib = os.path.getsize(ROTATOR) / 1e6
    return [Goal("release binary in MB", f"{mib:.1f}", "≤ 25", mib <= 25)]


def machine():
    model = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    version = subprocess.run([ROTATOR, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    import boto3
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return (f"{version}, {rust}; boto3 {boto3.__version__}, Python {platform.python_version()}; "
            f"{os.cpu_count()} cores of {model or platform.machine()}, Linux {platform.release()}; "
            f"{datetime.date.today().isoformat()}.")


def table(rows):
    lines = ["| measured | figure | must | met | beside it |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row.row[:5]) + " |" for row in rows]
    return "\n".join(lines)


def write(rows, rounds):
    text = open(PAGE).read()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    head = f"Measured with {machine()} Medians of {rounds} (smallest–largest).\n\n"
    with open(PAGE, "w") as page:
        page.write(f"{before}{BEGIN}\n{head}{table(rows)}\n{END}{after}")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", default="")
    chosen = arguments.parse_args()
    rounds = 1 if chosen.quick else chosen.rounds
    parts = {
        "latency": lambda: latencies(rounds), "zero": lambda: without_latency(rounds),
        "large": lambda: ten_thousand(1 if chosen.quick else max(1, rounds // 2)),
        "plan": lambda: plans(rounds), "entries": lambda: many_entries(min(rounds, 3), 200_000),
        "million": lambda: many_entries(1, 20_000 if chosen.quick else 1_000_000),
        "growth": lambda: growth(min(rounds, 3)) if not chosen.quick else [],
        "throttle": lambda: throttled(min(rounds, 3)), "propagation": lambda: propagation(min(rounds, 3)),
        "journal": lambda: journal_on_disk(rounds), "busy": lambda: busy(rounds),
        "status": lambda: large_journal(rounds, 20_000 if chosen.quick else 1_000_000),
        "search": lambda: searches(rounds), "size": size,
    }
    rows = []
    for name, part in parts.items():
        if chosen.only and name not in chosen.only.split(","):
            continue
        began = time.monotonic()
        found = part()
        rows += found
        for row in found:
            print(" | ".join(row.row[:5]), flush=True)
        print(f"[{name}: {time.monotonic() - began:.0f} s]", file=sys.stderr, flush=True)
    if not chosen.only and not chosen.quick:
        write(rows, rounds)


if __name__ == "__main__":
    main()
