"""The metadata service as guests meet it over their interfaces: a Linux guest with busybox, secrets of one microVM that no
other has, and cloud-init in a Debian guest."""

import hashlib
import json
import os
import socket
import subprocess
import threading
import time

import jailing
import pytest

from harness import ASK, BOOT_SECONDS, IN_LAB, SERVICE, Vmm, drive, make_initrd, vm_config

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"), reason="taps are made by root, with /dev/net/tun")

TAP = "mmdstest0"
LARGE = "".join(f"{number:07} " for number in range(5000))
NETWORK = f"""
ip link set lo up; ip addr add 10.97.0.2/24 dev eth0; ip link set eth0 up
ip route add {SERVICE} dev eth0
"""


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, capture_output=True)


class Tap:
    """A tap, and every frame that came out of it for the service."""

    def __enter__(self):
        ip("tuntap", "add", TAP, "mode", "tap", "vnet_hdr", *jailing.tap_owner())
        ip("addr", "add", "10.97.0.1/24", "dev", TAP)
        ip("link", "set", TAP, "up")
        self.stray, self.seen = [], 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((TAP, 3))
        self.socket.settimeout(0.2)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()
        return self

    def listen(self):
        address = socket.inet_aton(SERVICE)
        while not self.over.is_set():
            try:
                frame, where = self.socket.recvfrom(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return
            self.seen += 1
            if address in frame[14:54]:
                self.stray.append(frame)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.socket.close()
        ip("link", "delete", TAP, check=False)


def run_guest(directory, kernel, script, data, version="V1", **mmds):
    """One guest whose init is the script, with these metadata; what it said, and its tap."""
    directory.mkdir(exist_ok=True)
    config = vm_config(kernel, initrd=make_initrd(directory / "initrd", NETWORK + ASK + script + "\nreboot -f\n"))
    config["network-interfaces"] = [{"iface_id": "eth0", "host_dev_name": TAP, "guest_mac": "06:00:AC:10:00:02"}]
    config["mmds-config"] = {"network_interfaces": ["eth0"], "version": version, **mmds}
    (directory / "metadata.json").write_text(json.dumps(data))
    with Tap() as tap:
        outcome = Vmm(directory).run(config, "--metadata", "metadata.json", timeout=BOOT_SECONDS)
    outcome.tap = tap
    return outcome


@pytest.fixture(scope="module")
def first(kernel, tmp_path_factory):
    """Version 1, all of it in one guest."""
    script = f"""
u=http://{SERVICE}
echo dirs=$(wget -qO- $u/ | tr '\\n' ,)
echo list=$(wget -qO- $u/latest/meta-data/ | tr '\\n' ,)
echo id=$(wget -qO- $u/latest/meta-data/instance-id)
echo json=$(wget -qO- --header 'Accept: application/json' $u/latest/meta-data)
echo large=$(wget -qO- $u/large | md5sum | cut -c1-32)
wget -qO- $u/none; echo missing=$?
echo number=$(status GET /latest/meta-data/number)
echo post=$(status POST /)
echo nonsense=$(printf 'nonsense\\r\\n\\r\\n' | nc {SERVICE} 80 | head -n 1 | cut -d ' ' -f 2)
n=0; while [ $n -lt 20 ]; do wget -qO /out$n $u/large & n=$((n + 1)); done; wait
echo together=$(cat /out* | md5sum | cut -c1-32)
echo pipelined=$({{ printf 'GET /latest/meta-data/instance-id HTTP/1.1\\r\\n\\r\\n%.0s' 1 2 3
  printf 'GET / HTTP/1.0\\r\\n\\r\\n'; }} | nc {SERVICE} 80 | grep -o 'HTTP/1.1 200' | wc -l)
ping -c 1 -W 5 10.97.0.1 > /dev/null && echo ping=yes
timeout 3 nc {SERVICE} 81 < /dev/null; echo other_port=$?
"""
    data = {"latest": {"meta-data": {"instance-id": "i-1", "number": 7, "tags": {"a": "b"}}, "user-data": "x"}, "large": LARGE}
    return run_guest(tmp_path_factory.mktemp("mmds"), kernel, script, data)


def test_data_in_both_forms(first):
    facts = first.facts
    assert facts.get("dirs") == "large,latest/", first
    assert facts["list"] == "instance-id,number,tags/" and facts["id"] == "i-1", first
    assert json.loads(facts["json"]) == {"instance-id": "i-1", "number": 7, "tags": {"a": "b"}}
    assert facts["large"] == hashlib.md5(LARGE.encode()).hexdigest(), first


def test_what_is_no_sound_request_is_answered(first):
    facts = first.facts
    assert facts["missing"] != "0" and facts["number"] == "501" and facts["post"] == "405" and facts["nonsense"] == "400", first
    assert facts["other_port"] not in ("0", "143"), "reset, not silence"


def test_connections_at_a_time_and_requests_in_a_row(first):
    assert first.facts["together"] == hashlib.md5(LARGE.encode() * 20).hexdigest(), first
    assert first.facts["pipelined"] == "4", first


def test_the_network_goes_on_and_sees_nothing_of_it(first):
    assert first.facts.get("ping") == "yes", first
    assert first.tap.seen > 0 and not first.tap.stray, first.tap.stray[:3]


def test_a_secret_is_its_own_microvms(kernel, tmp_path):
    """A build job is handed a secret: it needs a token for it, and neither it nor its token helps another microVM."""
    job = """
echo tokenless=$(status GET /job/secret)
echo life=$(status PUT /latest/api/token 'X-metadata-token-ttl-seconds: 21601')
token=$(body PUT /latest/api/token 'X-metadata-token-ttl-seconds: 3600')
echo token=$token
echo secret=$(body GET /job/secret "X-metadata-token: $token")
echo forged=$(status GET /job/secret "X-metadata-token: A${token#?}")
short=$(body PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 1')
sleep 2
echo expired=$(status GET /job/secret "X-aws-ec2-metadata-token: $short")
"""
    secret = {"job": {"secret": "hunter2"}}
    outcome = run_guest(tmp_path / "job", kernel, job, secret, version="V2")
    facts = outcome.facts
    assert facts.get("secret") == "hunter2", outcome
    assert (facts["tokenless"], facts["forged"], facts["expired"], facts["life"]) == ("401", "401", "401", "400"), outcome
    other = f"""
echo tokenless=$(status GET /job/secret)
echo stolen=$(status GET /job/secret 'X-metadata-token: {facts["token"]}')
token=$(body PUT /latest/api/token 'X-metadata-token-ttl-seconds: 60')
echo own=$(status GET /job/secret "X-metadata-token: $token")
echo name=$(body GET /job/name "X-metadata-token: $token")
"""
    outcome = run_guest(tmp_path / "other", kernel, other, {"job": {"name": "other"}}, version="V2")
    facts = outcome.facts
    assert (facts.get("tokenless"), facts["stolen"], facts["own"], facts["name"]) == ("401", "401", "404", "other"), outcome
    assert "hunter2" not in outcome.text


CLOUD_SECONDS = 1200 if IN_LAB else 120
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmote0test0key0of0no0value0whatsoever000000 tester"
USER_DATA = """#cloud-config
write_files:
- path: /run/written
  content: by cloud-init
runcmd:
- |
  exec > /dev/console
  echo hostname=$(hostname)
  echo written=$(cat /run/written)
  echo key=$(cut -d ' ' -f 3 /home/debian/.ssh/authorized_keys)
  echo source=$(cloud-id)
  service=http://169.254.169.254/latest
  token=$(curl -sX PUT $service/api/token -H 'X-metadata-token-ttl-seconds: 60')
  echo curl=$(curl -s $service/meta-data/instance-id -H "X-metadata-token: $token")
  echo tokenless=$(curl -s -o /dev/null -w '%{http_code}' $service/meta-data)
  systemctl reboot -ff
"""


def test_cloud_init_takes_all_from_it(cloud, kernel, tmp_path):
    """The EC2 data source with IMDSv2: host name, SSH key, user-data with a runcmd."""
    meta = {"instance-id": "i-0123", "local-hostname": "made-by-mote", "hostname": "made-by-mote", "ami-id": "ami-1",
            "placement": {"availability-zone": "here-1a"},
            "public-keys": {"0=tester": "", "0": {"openssh-key": KEY}}}
    identity = {"instance-identity": {"document": json.dumps({"instanceId": "i-0123", "region": "here-1"})}}
    version = {"meta-data": meta, "user-data": USER_DATA, "dynamic": identity}
    config = vm_config(kernel, "root=/dev/vda ro init=/usr/sbin/overlay-init ip=10.97.0.2::10.97.0.1:255.255.255.0::eth0:off",
                       drives=[drive(cloud, "root", root=True)], memory=1024)
    config["network-interfaces"] = [{"iface_id": "eth0", "host_dev_name": TAP}]
    config["mmds-config"] = {"network_interfaces": ["eth0"], "version": "V2"}
    (tmp_path / "metadata.json").write_text(json.dumps({"2009-04-04": version, "latest": version}))
    began = time.monotonic()
    with Tap() as tap:
        outcome = Vmm(tmp_path).run(config, "--metadata", "metadata.json", timeout=CLOUD_SECONDS)
    facts = outcome.facts
    assert facts.get("hostname") == "made-by-mote", (time.monotonic() - began, outcome)
    assert facts["written"] == "by cloud-init" and facts["key"] == "tester", outcome
    assert facts["source"] == "aws" and facts["curl"] == "i-0123" and facts["tokenless"] == "401", outcome
    assert not tap.stray
