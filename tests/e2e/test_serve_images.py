# SPDX-License-Identifier: Apache-2.0
"""--image dir:/path: a command in a root file system of its own, busybox's, and what must not leave it."""

import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import mounts
from serving import APPS, BUSYBOX, WAIT, Serve, app_body, free_port, missing, serve_images, until


@pytest.fixture
def serve(tmp_path, no_leftovers):
    with serve_images(tmp_path / "serve") as server:
        yield server


@pytest.fixture
def root(tmp_path):
    """An unpacked root file system: no /proc, /dev or /sys yet, as many images come."""
    if not BUSYBOX.exists():
        missing("busybox-static")
    folder = tmp_path / "root"
    (folder / "bin").mkdir(parents=True)
    (folder / "www").mkdir()
    shutil.copy(BUSYBOX, folder / "bin/busybox")
    for name in ("sh", "ls", "cat", "sleep", "httpd", "tail", "env", "mkdir", "head", "wc", "touch", "mv"):
        (folder / "bin" / name).symlink_to("busybox")
    return folder


def shell(root, script, **more):
    return app_body(["/bin/sh", "-c", script], image=f"dir:{root}", **more)


def create(serve, name, body):
    status, value, headers = serve.ask("PUT", f"{APPS}/{name}", body)
    assert status == 201, value
    return serve.operation(headers)


def facts(serve, root, script):
    """What the script prints inside: the root is used in place, so it is read from outside."""
    create(serve, "facts", shell(root, f"{{ {script}; }} >/facts.new 2>&1; mv /facts.new /facts; {WAIT}", cpu=0.25,
                                 memory="64Mi", env=[("MODE", "asked")]))
    until((root / "facts").exists, "the facts are written")
    return (root / "facts").read_text(encoding="utf-8")


def events(serve, name):
    return serve.get(f"{APPS}/{name}/oomlab/logs?type=system&tail=300")["value"]


def test_its_root_is_the_directory(serve, root):
    said = facts(serve, root, "ls -1 /; env")
    listed = said.split("\n")
    assert {"bin", "dev", "proc", "sys", "www", "facts.new"} == {line for line in listed if "=" not in line and line}
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in listed
    assert "MODE=asked" in listed
    assert not any(line.startswith("OOMLAB_") for line in listed)


def test_it_has_devices_processes_and_its_cgroup(serve, root):
    said = facts(serve, root, "echo lost >/dev/null; head -c 5 /dev/urandom | wc -c; head -c 3 /dev/zero | wc -c; "
                              "ls /dev; cat /proc/1/comm; ls /sys/fs/cgroup >/dev/null && echo cgroup; "
                              "touch /dev/shm/x && echo shm; echo 1 >/sys/kernel/mm/ksm/run; "
                              "mkdir /sys/fs/cgroup/memory/escape /sys/fs/cgroup/escape; echo end")
    lines = said.split()
    assert lines[:2] == ["5", "3"]
    for name in ("null", "zero", "full", "random", "urandom", "shm", "pts", "ptmx", "fd", "stdout", "cgroup", "sh", "end"):
        assert name in lines, said
    assert said.count("Read-only file system") >= 2, said


def test_links_do_not_lead_out(serve, root, tmp_path):
    """The image's own /dev, /proc and /sys, and a file, are links to places of this machine."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    up = "../" * 30
    for name in ("dev", "sys"):
        (root / name).symlink_to(f"{up}{outside}")
    (root / "read").symlink_to(f"{up}{outside}/secret")
    (root / str(outside).lstrip("/")).mkdir(parents=True)
    said = facts(serve, root, "cat /read; cat /../../../../../.." + f"{outside}/secret; echo end")
    assert said.endswith("end\n")
    assert said.count("No such file") == 2
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert list((root / str(outside).lstrip("/")).iterdir()) == []  # mounts, never files


def test_a_service_behind_the_ingress(serve, root):
    (root / "www/hello").write_text("from the image\n")
    port = free_port()
    create(serve, "web", shell(root, 'exec httpd -f -p "127.0.0.1:$PORT" -h /www', cpu=0.25, memory="64Mi", port=port))

    def answer():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=5).read()
        except urllib.error.URLError:
            return None

    assert until(answer, "an answer") == b"from the image\n"


def test_a_kill_inside_is_proven(serve, root):
    create(serve, "grows", shell(root, "exec tail /dev/zero", cpu=0.25, memory="32Mi"))

    def kill():
        return [row for row in events(serve, "grows") if row["Reason"] == "ContainerTerminated"]

    row = until(kill, "a kill")[0]
    assert "exit code '137'" in row["Msg"]
    assert "oom-container-limit" in str(row)


def test_kill_9_leaves_nothing_mounted(serve, root):
    before = mounts()
    create(serve, "stays", shell(root, f"touch /up; {WAIT}", cpu=0.25, memory="64Mi"))
    until((root / "up").exists, "it runs")
    serve.kill()
    assert mounts() == before
    (root / "up").unlink()
    serve.start()
    until((root / "up").exists, "it runs again")
    assert mounts() == before


def test_a_missing_command_is_told_with_its_path(serve, root):
    status, _, _ = serve.ask("PUT", f"{APPS}/none", app_body(["/bin/nothing"], image=f"dir:{root}"))
    assert status == 201
    row = until(lambda: [r for r in events(serve, "none") if "ContainerCreateFailure" in r["Msg"]], "a failure")[0]
    assert "/bin/nothing" in row["Msg"]
    assert "No such file" in row["Msg"]


def test_a_root_that_has_gone_is_told(serve, root):
    create(serve, "gone", shell(root, WAIT, cpu=0.25, memory="64Mi"))
    serve.kill()
    root.rename(root.with_name("moved"))
    serve.start()
    until(lambda: [r for r in events(serve, "gone") if "entering its root file system" in r["Msg"]], "a failure")


@pytest.mark.parametrize(("image", "why"), [
    ("dir:root", "absolute"), ("dir:", "absolute"), ("dir:/a/../b", "absolute"), ("dir:/a/./b", "absolute"),
    ("dir:/a//b", "absolute"), ("dir:/a/", "absolute"), ("dir:/", "--image host"), ("dir:/nothing/here", "No such file"),
    ("dir:/bin/busybox", "is no directory"), ("oci:/x:latest", "No such file"), ("oci-archive:/x.tar", "No such file"),
    ("docker.io/library/nginx:1", "nothing is pulled"), ("mcr.microsoft.com/k8se/quickstart:latest", "nothing is pulled")])
def test_images_that_are_refused(serve, root, image, why):
    status, value, _ = serve.ask("PUT", f"{APPS}/image", app_body(["/bin/true"], image=image))
    assert status == 400, value
    assert why in value["error"]["message"]
    assert serve.get(APPS)["value"] == []


def test_a_root_without_a_command(serve, root):
    status, value, _ = serve.ask("PUT", f"{APPS}/image", app_body(image=f"dir:{root}"))
    assert status == 400
    assert "give a command" in value["error"]["message"]


def test_the_verb(serve, root):
    done = serve.az("containerapp", "create", "--name", "verb", "--resource-group", "rg", "--environment", "env", "--image",
                    f"dir:{root}", "--command", "/bin/sh", "--args", "-c", f"touch /by-verb; {WAIT}", "--cpu", "0.25",
                    "--memory", "0.5Gi", "-o", "none")
    assert done.returncode == 0, done.stderr
    until((root / "by-verb").exists, "it runs")


def test_without_cap_sys_admin(tmp_path, root, no_leftovers):
    """What an ordinary user has: a user namespace, in which no device can be made and less be mounted."""
    probe = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    if subprocess.run([*probe, "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "mount", "-t", "proc",
                       "proc", "/proc"], capture_output=True, check=False).returncode != 0:
        missing("a user namespace that may mount /proc")
    server = Serve(tmp_path / "serve", "--allow-any-size", prefix=probe).start()
    try:
        server.prepare()
        said = facts(server, root, "ls -1 /; head -c 3 /dev/zero | wc -c; cat /proc/1/comm; cat /proc/self/uid_map")
    finally:
        server.stop()
    assert "3" in said.split() and "sh" in said.split(), said
    assert "4294967295" not in said
