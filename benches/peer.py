"""What a user would write instead of rotator: boto3 with threads. The benchmark compares rotator with it.

    peer.py THREADS simple|equal STORE.json-in-SQLite JOURNAL

`simple` makes three calls a key, keeps no journal and proves nothing. `equal` makes the calls and proofs of rotator, and
commits each step to a journal before the next.
"""

import json
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import botocore.session
from botocore.config import Config


def main():
    threads, kind, store_path, journal_path = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    session = botocore.session.get_session()
    config = Config(max_pool_connections=threads, retries={"mode": "adaptive", "max_attempts": 100})
    iam = session.create_client("iam", config=config)
    creating = threading.Lock()
    databases = threading.local()

    def database(path):
        open_ones = databases.__dict__.setdefault("all", {})
        if path not in open_ones:
            open_ones[path] = sqlite3.connect(path, timeout=60, isolation_level=None)
            open_ones[path].execute("PRAGMA synchronous = FULL")
        return open_ones[path]

    def who_is(key, secret, expected):
        # The creation of a client is not safe in several threads at once.
        with creating:
            sts = session.create_client("sts", aws_access_key_id=key, aws_secret_access_key=secret, config=config)
        arn = sts.get_caller_identity()["Arn"]
        assert arn.endswith(f":user/{expected}"), arn

    def note(user, state):
        database(journal_path).execute("INSERT INTO journal (user, state) VALUES (?, ?)", (user, state))

    def stored(user):
        (text,) = database(store_path).execute("SELECT value FROM entry WHERE user = ?", (user,)).fetchone()
        return json.loads(text)

    def store(user, old, new):
        text = {**old, "AccessKeyId": new["AccessKeyId"], "SecretAccessKey": new["SecretAccessKey"]}
        database(store_path).execute("UPDATE entry SET value = ? WHERE user = ?", (json.dumps(text), user))

    def simple(user):
        old = stored(user)
        new = iam.create_access_key(UserName=user)["AccessKey"]
        store(user, old, new)
        iam.list_access_keys(UserName=user)
        iam.delete_access_key(UserName=user, AccessKeyId=old["AccessKeyId"])

    def equal(user):
        old = stored(user)
        keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]
        assert keys == [old["AccessKeyId"]], keys
        who_is(old["AccessKeyId"], old["SecretAccessKey"], user)
        note(user, "opened")
        new = iam.create_access_key(UserName=user)["AccessKey"]
        note(user, "created-new")
        who_is(new["AccessKeyId"], new["SecretAccessKey"], user)
        note(user, "storing")
        store(user, old, new)
        note(user, "stored-new")
        now = stored(user)
        keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]
        assert sorted(keys) == sorted([old["AccessKeyId"], new["AccessKeyId"]]), keys
        who_is(now["AccessKeyId"], now["SecretAccessKey"], user)
        note(user, "deleting")
        iam.delete_access_key(UserName=user, AccessKeyId=old["AccessKeyId"])
        note(user, "deleted-old")

    one = sqlite3.connect(store_path)
    users = [user for (user,) in one.execute("SELECT user FROM entry ORDER BY user")]
    with sqlite3.connect(journal_path) as journal:
        journal.execute("PRAGMA journal_mode = WAL")
        journal.execute("CREATE TABLE journal (id INTEGER PRIMARY KEY, user TEXT, state TEXT)")
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map({"simple": simple, "equal": equal}[kind], users):
            assert done is None


main()
