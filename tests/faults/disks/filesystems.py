"""Small file systems, and directories that must be refused: rings go elsewhere, nothing is lost, and it is said."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from recost.ring import files
from recost.ring.files import SPARE_BYTES, SPARE_FILES, create_ring
from recost.ring.layout import MIN_CAPACITY
from tests.faults.disks.mounts import enter_namespace, fill, make_read_only, make_writable, mount_tmpfs
from tests.faults.disks.sites import Site, kill_leader, wait_for_leader
from tests.faults.disks.told import Worker
from tests.faults.disks.tries import side_by_side
from tests.faults.disks.unguarded_rings import CONTROLS
from tests.faults.row import Row, Trial
from tests.harness import run_child, start_child, wait_for_child
from tests.unprivileged import NOBODY

STRANGER = 12345
STATE_ELSEWHERE = Path("/var/tmp")
PATHS = ("/v1/first", "/v1/second", "/v1/third")


def run_small(trial: Trial) -> None:
    """More workers than fit; then somebody else takes the rest, and a collector must start there."""
    enter_namespace(trial)
    side_by_side(trial, [_crowd_a_megabyte] * trial.size(1, 5), at_once=1)
    tries = trial.size(4, 20)
    trial.controlled("posix_fallocate", sum(_dies_without_allocation(trial) for _ in range(tries)), tries)


def run_many(trial: Trial) -> None:
    """What a container has: 64 MB of shared memory."""
    enter_namespace(trial)
    side_by_side(trial, [_crowd_a_container] * trial.size(1, 3), at_once=1, control=CONTROLS["files.tmpfs_64m"])


def run_inodes(trial: Trial) -> None:
    """Any number of files, from none to enough."""
    enter_namespace(trial)
    most = SPARE_FILES + 8
    numbers = trial.size([2, SPARE_FILES + 4], [*range(1, most)])
    tries = [partial(_run_short_of_files, files) for files in numbers]
    side_by_side(trial, tries, control=CONTROLS["files.inodes"])


def run_read_only(trial: Trial) -> None:
    """A file system that was mounted read-only, before or while it is in use."""
    enter_namespace(trial)
    tries = [_read_only_runtime, _read_only_state, _read_only_later]
    side_by_side(trial, tries, control=CONTROLS["files.read_only"])


def run_refused(trial: Trial) -> None:
    """A runtime directory that somebody else may have put something into."""
    found = {
        "it is a link": _make_link,
        "its mode is 0777": _open_to_all,
        "it is no directory": _make_file,
    }
    if os.geteuid() == 0:
        found["it is owned by uid 12345"] = _give_away
    tries: list[Callable[[Trial], None]] = [partial(_refuse, words, spoil) for words, spoil in found.items()]
    if os.geteuid() == 0:
        tries.append(_refuse_as_nobody)
    side_by_side(trial, tries, control=CONTROLS["files.refused"])


def _crowd_a_megabyte(trial: Trial) -> None:
    enter_namespace(trial)
    with Site(trial) as site:
        runtime = site.place.runtime
        mount_tmpfs(runtime, "size=1m")
        workers = site.hire_many(trial.size(16, 40))
        _all_offer(workers, trial.size(300, 2000), PATHS[0])
        turned_away = [worker for worker in workers if worker.ring.parent != runtime]
        trial.check(0 < len(turned_away) < len(workers), f"{len(turned_away)} of {len(workers)} were turned away")
        for worker in turned_away:
            worker.must_hear(f"no ring can be made in {runtime}: No space left")
        _check_spare(trial, runtime)
        wait_for_leader(str(runtime))
        fill(runtime)
        _all_offer(workers, 200, PATHS[1])
        kill_leader(str(runtime))
        _all_offer(workers, 200, PATHS[2])
        site.wait_for_calls(site.ledger.total)
        status = site.status()
        trial.check(status.code == 1 and "degraded" in status.text, f"status says nothing of it: {status.text}")
        seen = {ring["pid"] for place in (status.found, *status.found["elsewhere"]) for ring in place["rings"]}
        trial.check(seen == {worker.pid for worker in workers}, f"status shows {len(seen)} of {len(workers)} rings")
        site.settle()


def _crowd_a_container(trial: Trial) -> None:
    enter_namespace(trial)
    with Site(trial) as site:
        runtime = site.place.runtime
        mount_tmpfs(runtime, "size=64m")
        workers = site.hire_many(trial.size(70, 200))
        _all_offer(workers, trial.size(100, 500), PATHS[0])
        there = [worker.ring.stat().st_size for worker in workers if worker.ring.parent == runtime]
        trial.check(len(there) >= min(len(workers), 100), f"{len(there)} rings of {len(workers)} fit into 64 MB")
        trial.figure(f"{len(there)} rings of {min(there) >> 10} to {max(there) >> 10} KiB in 64 MB")
        _check_spare(trial, runtime)
        site.settle()


def _run_short_of_files(files: int, trial: Trial) -> None:
    enter_namespace(trial)
    with Site(trial) as site:
        runtime = site.place.runtime
        mount_tmpfs(runtime, f"size=64m,nr_inodes={files}")
        workers = site.hire_many(8)
        _all_offer(workers, 200, PATHS[0])
        for worker in workers:
            if worker.ring.parent != runtime:
                worker.must_hear(f"no ring can be made in {runtime}: No space left")
        _all_offer(workers, 200, PATHS[1])
        site.settle()


def _read_only_runtime(trial: Trial) -> None:
    enter_namespace(trial)
    with Site(trial) as site:
        make_read_only(site.place.runtime)
        worker = site.hire()
        worker.offer_all(200)
        worker.must_hear(f"no ring can be made in {site.place.runtime}: Read-only file system")
        _check_elsewhere(site, worker)
        site.settle()


def _read_only_state(trial: Trial) -> None:
    enter_namespace(trial)
    mount_tmpfs(STATE_ELSEWHERE, "size=64m")
    with Site(trial) as site:
        make_read_only(site.place.state)
        worker = site.hire()
        worker.offer_all(200)
        worker.must_hear("set RECOST_STATE_DIR to a directory of this user on a local disk")
        status = site.status()
        trial.check(f"{site.place.state} is not writable" in status.text, f"status says nothing of it: {status.text}")
        site.settle()


def _read_only_later(trial: Trial) -> None:
    """Under a collector at work: the local directory, then the state. What waits there goes out with the next start."""
    enter_namespace(trial)
    mount_tmpfs(STATE_ELSEWHERE, "size=64m")
    with Site(trial) as site:
        worker = site.hire()
        worker.offer_all(200, PATHS[0])
        site.wait_for_calls(200)
        make_read_only(site.place.local)
        worker.offer_all(100, PATHS[1])
        worker.must_hear("read-only file system; the windows wait on disk")
        make_read_only(site.place.state)
        kill_leader(site.runtimes[0])
        worker.offer_all(100, PATHS[2])
        worker.must_hear("the collector's state is kept in")
        make_writable(site.place.local)
        make_writable(site.place.state)
        site.leave()
        site.hire().offer_all(100, PATHS[0])
        site.settle()


def _refuse(words: str, spoil: Callable[[Site], None], trial: Trial) -> None:
    with Site(trial) as site:
        spoil(site)
        workers = site.hire_many(2)
        _all_offer(workers, 200, PATHS[0])
        for worker in workers:
            worker.must_hear(f"no ring can be made in {site.place.runtime}: refused, {words}")
            _check_elsewhere(site, worker)
        status = site.status()
        trial.check(words in status.text, f"status does not say that {words}: {status.text}")
        site.settle()
        trial.check(not _made_there(site), f"something was made in a directory of others: {_made_there(site)}")


def _refuse_as_nobody(trial: Trial) -> None:
    """A server that dropped its privileges, and a runtime directory that root made before."""
    for folder in (trial.memory, trial.disk):
        for part in (folder, *list(folder.parents)[:2]):
            part.chmod(0o711)
    with Site(trial) as site:
        for folder in (site.place.runtime.parent, site.place.state.parent):
            folder.chmod(0o711)
        site.place.runtime.chmod(0o755)
        for folder in site.place[1:]:
            os.chown(folder, NOBODY, NOBODY)
        worker = site.hire(_become_nobody)
        worker.offer_all(200)
        worker.must_hear("refused, it is owned by uid 0: want a directory of uid 65534 alone")
        directory = worker.ring.parent
        if run_child(_start_python_as_nobody) == 0:  # else nobody can start a collector here
            site.settle()
        worker.kill()
        trial.check(not _made_there(site), f"something was made in a directory of others: {_made_there(site)}")
        shutil.rmtree(directory)


def _all_offer(workers: list[Worker], count: int, path: str) -> None:
    """At once."""
    for worker in workers:
        worker.tell("offer_all", count, path)
    for worker in workers:
        worker.answer()


def _check_spare(trial: Trial, runtime: Path) -> None:
    space = os.statvfs(runtime)
    left = space.f_bavail * space.f_frsize
    trial.check(left >= SPARE_BYTES // 2, f"rings left {left} bytes for the collector, of {SPARE_BYTES}")


def _check_elsewhere(site: Site, worker: Worker) -> None:
    """The ring is in the other directory, and ``status`` finds it there."""
    ring = worker.ring
    site.trial.check(str(ring.parent) == site.runtimes[1], f"its ring is {ring}, want one in {site.runtimes[1]}")
    status = site.status()
    site.trial.check(site.runtimes[1] in status.text, f"status says nothing of {site.runtimes[1]}: {status.text}")


def _dies_without_allocation(trial: Trial) -> bool:
    """Rings made as holes, on a tmpfs that is too small for what is stored in them."""
    folder = trial.place().runtime
    mount_tmpfs(folder, "size=1m")

    def make_holes() -> None:
        os.posix_fallocate = lambda fd, _start, size: os.ftruncate(fd, size)
        files._MAPPED["flags"] = mmap.MAP_SHARED  # without MAP_POPULATE
        rings = [create_ring(str(folder), b"", MIN_CAPACITY) for _ in range(20)]
        for ring in rings:
            ring.data[:] = bytes(len(ring.data))

    return wait_for_child(start_child(make_holes)) == -signal.SIGBUS


def _make_link(site: Site) -> None:
    target = site.place.home / "elsewhere"
    target.mkdir(mode=0o700)
    site.place.runtime.rmdir()
    site.place.runtime.symlink_to(target)


def _open_to_all(site: Site) -> None:
    site.place.runtime.chmod(0o777)


def _make_file(site: Site) -> None:
    site.place.runtime.rmdir()
    site.place.runtime.write_text("in the way")


def _give_away(site: Site) -> None:
    os.chown(site.place.runtime, STRANGER, STRANGER)


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _start_python_as_nobody() -> None:
    _become_nobody()
    subprocess.run([sys.executable, "-c", "import recost_collector.process"], check=True, stderr=subprocess.DEVNULL)


def _made_there(site: Site) -> list[str]:
    runtime = site.place.runtime
    return os.listdir(runtime) if runtime.is_dir() else []


ROWS = [
    Row("files.tmpfs_1m", "a full tmpfs turns rings away; no SIGBUS, and the collector finds room", run_small),
    Row("files.tmpfs_64m", "the rings of many workers fit into a container's shared memory", run_many),
    Row("files.inodes", "without inodes rings go elsewhere, told, and all is delivered", run_inodes),
    Row("files.read_only", "read-only directories are replaced, told, and recovered from", run_read_only),
    Row("files.refused", "a directory of others is refused clearly, untouched, and replaced", run_refused),
]
