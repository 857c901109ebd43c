"""Sends packets between network namespaces and says who got them.

Reads {"namespaces": [name, …], "probes": [{"from", "source", "to", "length"}, …]} and writes a list with one answer for each probe: "NAME ADDRESS" of who got it and
from which address, "nobody", "too long" where the sender's own kernel refuses it, "nobody, then too long" where it learns that from an ICMP error.
"""

import ctypes
import errno
import json
import os
import select
import socket
import sys
import time

CLONE_NEWNET = 0x40000000
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
libc = ctypes.CDLL(None, use_errno=True)


def enter(name):
    # A socket stays in the namespace in which it was made.
    with open("/run/netns/" + name) as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + name)


def main():
    task = json.load(sys.stdin)
    receivers = {}
    for name in task["namespaces"]:
        enter(name)
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("0.0.0.0", 8080))
        receivers[receiver] = name
    time.sleep(1.5)
    answers = []
    for probe in task["probes"]:
        enter(probe["from"])
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        if probe["source"]:
            sender.bind((probe["source"], 0))
        answer = "nobody"
        # Once more if it got lost: the first packet waits for ARP, and for links that have just come up.
        for again in range(2):
            try:
                sender.sendto(b"x" * (probe["length"] - 28), (probe["to"], 8080))
                ready, _, _ = select.select(list(receivers), [], [], 0.35)
                for receiver in ready:
                    _, (address, _) = receiver.recvfrom(65536)
                    answer = receivers[receiver] + " " + address
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    # Somebody on the way has said what fits.
                    answer = "nobody, then too long" if again else "too long"
                elif error.errno not in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED):
                    raise
            if answer != "nobody":
                break
        sender.close()
        answers.append(answer)
    json.dump(answers, sys.stdout)


main()
