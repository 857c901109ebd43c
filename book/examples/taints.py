#!/usr/bin/env python3
"""scheduler/taints as a worker: reads one question a line, writes one answer a line.

    cargo grade run scheduler/taints --modules book/examples/taints.py
"""

import json
import sys

# The only writer of answers. What is printed elsewhere in this program must go to stderr.
answers, sys.stdout = sys.stdout, sys.stderr


# ANCHOR: module
def tolerates(toleration, taint):
    effect, key = toleration.get("effect"), toleration.get("key")
    if effect and effect != taint["effect"] or key and key != taint["key"]:
        return False
    operator = toleration.get("operator") or "Equal"
    same_value = (toleration.get("value") or "") == (taint.get("value") or "")
    return operator == "Exists" or operator == "Equal" and same_value


def filter(tolerations, taints):
    for taint in taints:
        keeps_away = taint["effect"] in ("NoSchedule", "NoExecute")
        if keeps_away and not any(tolerates(t, taint) for t in tolerations):
            return {"Refused": taint}
    return "Fits"
# ANCHOR_END: module


# ANCHOR: loop
CALLS = {
    "new": lambda: None,  # This module has no state to make anew.
    "filter": filter,
}

for line in sys.stdin:
    question = json.loads(line)
    answer = {"id": question["id"]}
    try:
        answer["answer"] = CALLS[question["call"]](**question["args"])
    except Exception as e:
        answer["error"] = {"kind": "panic", "message": f"{type(e).__name__}: {e}"}
    print(json.dumps(answer), file=answers, flush=True)
# ANCHOR_END: loop
