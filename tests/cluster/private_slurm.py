"""A private SLURM for tests: munge, a controller and two nodes on this machine, loopback only.

All daemons are children of the test's process and stay in the foreground; their sockets, keys,
state and logs lie in one folder. There is no accounting database and there are no cgroups:
memory is looked at every second. It needs Debian's packages slurm-wlm and munge.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv")
# Where daemons lie, too.
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
NODES = ("n1", "n2")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
SlurmdParameters=config_overrides
ReturnToService=1
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=3600
KillWait=5
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=8000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=7-0 State=UP
"""
# The executor's job step drops SLURM_CONF, which only a cluster outside of /etc/slurm needs.
STEP = """\
#!/bin/sh
SLURM_CONF='{folder}/slurm.conf' exec {srun} "$@"
"""


def missing() -> list[str]:
    """Return the programs that a private SLURM needs and this machine lacks."""
    return [name for name in NEEDED if not shutil.which(name, path=PATH)]


def wait_until(happened: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something to happen, and fail where it does not in time."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"never seen: {what}"
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens to."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(frozen=True)
class Job:
    """A job as the controller remembers it."""

    number: int
    state: str
    rule: str
    memory: str
    node: str
    limit: str
    run: str


@dataclass
class Slurm:
    """A SLURM that lives in a folder."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which SLURM's commands find this SLURM."""
        path = f"{self.folder / 'bin'}{os.pathsep}{PATH}"
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def ask(self, *command: str) -> str:
        """Run one of SLURM's commands, and return what it says."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def jobs(self, rule: str = "") -> list[Job]:
        """Return all jobs there have been, or those of a rule, in order."""
        # The executor writes the rule, then its wildcards, to the job's comment.
        told = self.ask("squeue", "--noheader", "--states=all", "--format=%i|%T|%k|%m|%N|%l|%j")
        rows = [line.split("|") for line in told.splitlines()]
        jobs = [
            Job(int(number), state, comment.removeprefix("rule_").split("_wildcards_")[0], *rest)
            for number, state, comment, *rest in rows
        ]
        return sorted((job for job in jobs if rule in ("", job.rule)), key=lambda job: job.number)

    def start(self, name: str, *command: str) -> None:
        """Start a daemon, which ends with this process whatever happens to it."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, name: str) -> None:
        """Stop a daemon."""
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def start_controller(self) -> None:
        """Start the controller, which takes up the jobs of the one before it."""
        self.start("slurmctld", "slurmctld", "-D")

    def up(self) -> None:
        """Start everything, and wait until both nodes take jobs."""
        for name in ("state", "bin"):
            (self.folder / name).mkdir()
        told = {"folder": self.folder, "host": socket.gethostname().split(".")[0]}
        text = CONFIG.format(**told, user=getuser(), ports=free_ports(3))
        (self.folder / "slurm.conf").write_text(text, "utf-8")
        step = self.folder / "bin" / "srun"
        step.write_text(STEP.format(folder=self.folder, srun=shutil.which("srun")), "utf-8")
        step.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        self.start(
            "munged",
            # --force: a folder for tests is nobody else's, whatever lies above it
            *("munged", "--foreground", "--force", f"--key-file={key}"),
            *(f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("seed", "pid", "log")),
            f"--socket={self.folder}/munge.socket",
        )
        wait_until((self.folder / "munge.socket").exists, 20, "munge's socket")
        self.start_controller()
        for node in NODES:
            self.start(node, "slurmd", "-D", "-N", node)
        wait_until(self.is_idle, 60, "two idle nodes")

    def is_idle(self) -> bool:
        """Whether every node is there and without a job."""
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%T"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout.split() == ["idle"] * len(NODES)

    def down(self) -> None:
        """Cancel all jobs, and stop everything."""
        if "slurmctld" in self.daemons:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.ask("scancel", f"--user={getuser()}")
                wait_until(lambda: not self.ask("squeue", "--noheader"), 20, "an empty queue")
        for name in reversed(list(self.daemons)):
            self.stop(name)
        for process in self.strays():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def strays(self) -> list[int]:
        """Return the processes of jobs that no daemon ends any more, as on a node that was lost."""
        ours = f"SLURM_CONF={self.folder / 'slurm.conf'}\0".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            # Processes end while they are looked at.
            with contextlib.suppress(OSError):
                if ours in (place / "environ").read_bytes():
                    found.append(int(place.name))
        return found


@contextlib.contextmanager
def private_slurm(folder: Path) -> Iterator[Slurm]:
    """Run a SLURM in an empty folder; no process of it is left when the block ends."""
    slurm = Slurm(folder)
    try:
        slurm.up()
        yield slurm
    finally:
        slurm.down()
