"""The look-alike of IAM and STS, the users in it, and runs of rotator: what every benchmark needs."""

import base64
import http.client
import json
import os
import random
import shutil
import string
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROTATOR = os.environ.get("ROTATOR_BENCH_BINARY", "target/release/rotator")
LONG_AGO = "2020-01-01T00:00:00Z"
SECRET_CHARACTERS = string.ascii_letters + string.digits + "+/"


class Sandbox:
    """`rotator sandbox` in a process of its own."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="rotator-bench-")
        self.process = subprocess.Popen(
            [ROTATOR, "sandbox", "--allow-slash"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"PATH": os.environ["PATH"], "HOME": self.home})
        self.env = {}
        for line in self.process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                self.env[name] = value
            if line.startswith("unset"):
                self.env["AWS_DEFAULT_REGION"] = self.env["AWS_REGION"]
                break
        self.address = urllib.parse.urlparse(self.env["AWS_ENDPOINT_URL"]).netloc

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def admin(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.address)
        connection.request(method, "/_sandbox/" + path, None if body is None else json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:200]}")
        return json.loads(text)

    def setup(self, users, latency_ms=0, rate_limit=None, invalid_for_ms=0):
        """Adds the users, and sets how the look-alike behaves."""
        self.admin("POST", "population",
                   {"users": [{"user": user, "id": key, "secret": secret, "created": LONG_AGO}
                              for user, key, secret in users]})
        behaviour = {"new_keys_invalid_for_milliseconds": invalid_for_ms}
        if rate_limit:
            behaviour["rate_limit"] = rate_limit
        self.admin("POST", "behaviour", behaviour)
        if latency_ms:
            latency = {"kind": {"type": "latency", "milliseconds": latency_ms}, "times": 0}
            self.admin("POST", "faults", latency)

    def cpu_seconds(self):
        return cpu_of(self.process.pid)


def cpu_of(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def users(count, seed=1):
    """Users with one key each: (user, key id, secret)."""
    chosen = random.Random(seed)
    made = []
    for number in range(count):
        key = "AKIA" + base64.b32encode(chosen.randbytes(10)).decode()
        made.append((f"app{number:06}/live", key, "".join(chosen.choices(SECRET_CHARACTERS, k=40))))
    return made


def entries_of(made):
    """The entries of these users as JSON documents, one a user."""
    return {f"{user}/aws": json.dumps({"AccessKeyId": key, "SecretAccessKey": secret, "note": "x" * 40})
            for user, key, secret in made}


class Measured:
    def __init__(self, wall, cpu, peak_mib, status, stdout, stderr):
        self.wall, self.cpu, self.peak_mib, self.status = wall, cpu, peak_mib, status
        self.stdout, self.stderr = stdout, stderr


class Launcher:
    """A small process that starts the measured commands. Linux counts the memory of the process that starts a command
    as the first peak of that command, and this process holds the entries of whole stores."""

    PROGRAM = """
import json, os, subprocess, sys, time
for line in sys.stdin:
    wanted = json.loads(line)
    with open(wanted["out"], "wb") as out, open(wanted["err"], "wb") as err:
        began = time.monotonic()
        process = subprocess.Popen(wanted["command"], env=wanted["env"], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    print(json.dumps([wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
                      os.waitstatus_to_exitcode(status)]), flush=True)
"""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-S", "-c", self.PROGRAM], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, command, env):
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
            wanted = {"command": list(command), "env": env, "out": out.name, "err": err.name}
            self.process.stdin.write(json.dumps(wanted) + "\n")
            self.process.stdin.flush()
            took = json.loads(self.process.stdout.readline())
            return Measured(*took, *(file.read().decode(errors="replace") for file in (out, err)))


# Started first, while this process is small.
LAUNCHER = Launcher()


def measured(command, env):
    """Runs the command to its end, and returns what it took."""
    return LAUNCHER.run(command, env)


class Rotator:
    """One store, one journal and the settings of rotator, in a folder of their own."""

    def __init__(self, sandbox, concurrency=64, **settings):
        self.home = tempfile.mkdtemp(prefix="rotator-bench-")
        self.env = {
            "PATH": os.environ["PATH"], "HOME": self.home,
            "ROTATOR_STORE": f"sqlite:{self.home}/store.db", "ROTATOR_JOURNAL": f"{self.home}/journal.db",
            "ROTATOR_POLICY_CONCURRENCY": str(concurrency), "ROTATOR_POLICY_CONFIRMATIONS": "1",
            **sandbox.env, **settings,
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home, ignore_errors=True)

    def import_entries(self, entries):
        text = json.dumps(entries)
        process = subprocess.run([ROTATOR, "store", "import", "-"], input=text, text=True, env=self.env,
                                 capture_output=True, check=False)
        if process.returncode:
            raise RuntimeError(process.stderr)

    def run(self, *arguments):
        return measured([ROTATOR, *arguments], self.env)


def check_rotated(sandbox, made):
    """Every user has one key, and it is a new one. Returns the calls of each action."""
    state = sandbox.admin("GET", "state")
    old = {user: key for user, key, _ in made}
    found = 0
    for user in state["users"]:
        if user["name"] not in old:
            continue
        keys = [key["id"] for key in user["keys"]]
        if len(keys) != 1 or keys[0] == old[user["name"]]:
            raise RuntimeError(f"{user['name']} has the keys {keys}; it began with {old[user['name']]}")
        found += 1
    if found != len(made):
        raise RuntimeError(f"{found} users of {len(made)}")
    return state["calls"]
