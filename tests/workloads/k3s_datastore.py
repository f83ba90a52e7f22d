"""STAND-IN for K3s, which no registry offers: works on databases with SQLite's own library, and logs what that says as K3s
does. Its words, in order: open:PATH, make (the table), read, grow:KIB, named (from here on the log says which file), and
wait:PATH until there is such a file."""

import os
import sqlite3
import sys
import time

opened, path, named = [], "", False


def log(error):
    about = f"opening {path}" if named else "error in txn"
    print(f'time="2026-11-23T00:00:00Z" level=error msg="{about}: {error}"', file=sys.stderr, flush=True)


def do(statement, *values):
    try:
        opened[-1].execute(statement, values).fetchall()
    except sqlite3.Error as error:
        log(error)


for word in sys.argv[1:]:
    name, _, value = word.partition(":")
    if name == "open":
        path = value
        opened.append(sqlite3.connect(path, isolation_level=None))
    elif name == "make":
        do("create table kine (id integer primary key, value blob)")
        do("insert into kine (value) values (zeroblob(65536))")
    elif name == "read":
        do("select count(*) from kine")
    elif name == "grow":
        # What there is no room for is to be the database itself, not what it is restored from.
        do("pragma journal_mode = off")
        do("insert into kine (value) values (randomblob(?))", int(value) << 10)
    elif name == "named":
        named = True
    elif name == "wait":
        while not os.path.exists(value):
            time.sleep(0.01)
    else:
        sys.exit(f"unknown word: {word}")
