# SPDX-License-Identifier: Apache-2.0
"""containerapp exec: a command in a running container, its streams and status, whom it is charged to, and every way to end."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import oomlab_binary
from execs import SLEEP, arguments, begin, create, end, end_all, mark, needs_images, processes, run
from layouts import Layout, directory, entry, layer, program, symlink
from serving import APPS, GROUP, WAIT, Serve, UnixConnection, app_body, missing, running, serve_images, until

LARGE = 100 << 20
PROTOCOL = "oomlab-exec.1"
CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")
HOST_V2 = CONTROLLERS.exists() and "memory" in CONTROLLERS.read_text(encoding="ascii")


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """One app that nobody harms."""
    server = Serve(tmp_path_factory.mktemp("exec") / "serve", "--tcp", "--allow-any-size").start()
    server.prepare()
    create(server, "web", app_body(SLEEP, memory="512Mi", env=[("GREETING", "hello there")]))
    yield server
    assert server.get("/healthz") == "ok\n"
    server.stop()


@pytest.fixture(autouse=True)
def no_clients():
    yield
    end_all()


@pytest.fixture
def own(tmp_path, no_leftovers):
    """A serve for one test alone."""
    with running(tmp_path / "serve", "--allow-any-size") as server:
        yield server


# --- what it runs -----------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "status"), [
    ("true", 0), ("false", 1), ("sh -c 'exit 42'", 42), ("sh -c 'kill -TERM $$'", 143), ("sh -c 'kill -9 $$'", 137),
    ("not-there-at-all", 127), ("/not/there", 127), ("/etc/passwd", 126), ("/", 126)])
def test_status(serve, command, status):
    done = run(serve, command)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert bool(done.stderr) == (status in (126, 127)), done.stderr


def test_streams_are_kept_apart(serve):
    done = run(serve, "sh -c 'echo out; echo err >&2; printf end'")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\nend", "err\n")


def test_words(serve):
    done = run(serve, """printf '<%s>' a  "b c" 'd "e"' f\\ g "h\\"i" "" '$HOME'""")
    assert done.stdout == """<a><b c><d "e"><f g><h"i><><$HOME>"""


def test_input_goes_both_ways(serve):
    data = bytes(range(256)) * 33
    client = begin(serve, "cat")
    out, _ = client.communicate(data, timeout=60)
    assert (client.returncode, out) == (0, data)


def test_sh_is_the_default(serve):
    done = run(serve, None, input="echo $GREETING; exit 9\n")
    assert (done.returncode, done.stdout) == (9, "hello there\n")


LOOK = """
for name in mnt pid uts ipc user; do readlink /proc/$1/ns/$name; done
grep -E '^(Cap|NoNewPrivs|Groups|Uid|Gid|Seccomp)' /proc/$1/status
cat /proc/$1/cgroup /proc/$1/oom_score_adj
readlink /proc/$1/cwd
tr '\\0' '\\n' </proc/$1/environ | sort
"""


def test_it_is_in_the_container(serve, tmp_path):
    """Namespaces, control groups, privileges, directory and environment of the main process."""
    (tmp_path / "look").write_text(LOOK, encoding="ascii")
    main = run(serve, f"sh '{tmp_path}/look' 1")
    own = run(serve, f"sh -c 'sh \"{tmp_path}/look\" $$'")
    assert (main.returncode, own.returncode) == (0, 0), (main.stderr, own.stderr)
    assert main.stdout == own.stdout
    assert "GREETING=hello there" in main.stdout
    assert os.readlink("/proc/self/ns/pid") not in main.stdout


def test_what_is_not_there(serve):
    for more, word in ((["--name", "nothing"], "nothing"), (["--revision", "web--nothing"], "RevisionNotFound"),
                       (["--replica", "nothing"], "ReplicaNotFound"), (["--container", "nothing"], "ContainerNotFound"),
                       (["--resource-group", "other"], "other")):
        done = run(serve, "true", *more)
        assert done.returncode == 3, (more, done.stderr)
        assert word in done.stderr, done.stderr


def test_names(serve):
    revision = serve.get(f"{APPS}/web/revisions")["value"][0]["name"]
    replica = serve.get(f"{APPS}/web/revisions/{revision}/replicas")["value"][0]["name"]
    done = run(serve, "sh -c 'echo $CONTAINER_APP_REPLICA_NAME'", "--revision", revision, "--replica", replica,
               "--container", "main")
    assert (done.returncode, done.stdout) == (0, replica + "\n")


@pytest.mark.parametrize("command", ["", "  ", "'", "echo \"", "echo \\", "\"\" x", "x" * 70000, "x " * 2000])
def test_commands_that_are_none(serve, command):
    done = run(serve, command)
    assert done.returncode in (1, 2), done.stderr
    assert "command" in done.stderr and done.stdout == ""


def test_a_container_that_does_not_run(own, tmp_path):
    status, value, headers = own.ask("PUT", f"{APPS}/brief", app_body(["/bin/false"], memory="64Mi"))
    assert status == 201, value
    own.operation(headers)

    def refused():
        done = run(own, "true", app="brief")
        return done.returncode == 1 and "ReplicaNotRunning" in done.stderr

    until(refused, "it is refused while the back-off lasts")


# --- images and users -------------------------------------------------------------------------


def make_layout(tmp_path):
    needs_images()
    layout = Layout(tmp_path / "layout")
    links = [symlink(f"bin/{name}", "busybox") for name in ("sh", "id", "pwd", "cat", "stat", "tty", "sleep", "ls", "touch")]
    layout.image(layer(directory("bin"), program("bin/busybox"), *links, directory("home", mode=0o777), directory("etc"),
                       entry("etc/passwd", content=b"app:x:5:6::/home:/bin/sh\n"),
                       entry("etc/group", content=b"more:x:7:app\n")),
                 tag="t", config={"User": "app", "WorkingDir": "/home/deep", "Env": ["FROM=image", "PATH=/bin"],
                                  "Entrypoint": ["/bin/busybox", "sh", "-c", WAIT]})
    return layout


INSIDE = ("sh -c 'id -u; id -g; pwd; echo $FROM $MODE; ls /; cat /proc/1/cmdline >/dev/null && echo same; "
          "touch /home/written; stat -c %u /home/written; echo x >/dev/stdout'")


def check_inside(server, layout, groups):
    create(server, "image", app_body(None, image=f"oci:{layout.path}:t", memory="64Mi", env=[("MODE", "asked")]))
    done = run(server, INSIDE, app="image")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    lines = done.stdout.split("\n")
    assert lines[:4] == ["5", "6", "/home/deep", "image asked"]
    assert {"bin", "dev", "etc", "home", "proc", "sys"} == set(lines[4:10])
    assert lines[10:] == ["same", "5", "x", ""]
    if groups:
        assert run(server, "id -G", app="image").stdout == "6 7\n"
    assert run(server, "cat /home/written", app="image").returncode == 0  # the layer is the container's
    assert run(server, "nothere", app="image").returncode == 127


def test_root_user_and_directory_of_an_image(tmp_path, no_leftovers):
    layout = make_layout(tmp_path)
    with serve_images(tmp_path / "serve") as server:
        check_inside(server, layout, groups=True)


def test_as_an_ordinary_user(tmp_path, no_leftovers):
    """Without CAP_SYS_ADMIN: through the container's user namespace."""
    probe = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    layout = make_layout(tmp_path)
    server = Serve(tmp_path / "serve", "--allow-any-size", prefix=probe).start()
    try:
        server.prepare()
        status, _, headers = server.ask("PUT", f"{APPS}/probe", app_body(None, image=f"oci:{layout.path}:t", memory="64Mi"))
        if status != 201 or server.operation(headers)["status"] != "Succeeded":
            missing("a user namespace that may mount /proc and overlays")
        check_inside(server, layout, groups=False)
    finally:
        server.stop()


# --- memory -----------------------------------------------------------------------------------


def system_log(server, app):
    return server.get(f"{APPS}/{app}/oomlab/logs?type=system&tail=300")["value"]


def test_its_memory_is_the_containers(own):
    """It is killed for the container's limit. The main process lives on where the kernel leaves it (v1), and is told so."""
    create(own, "small", app_body(SLEEP, memory="48Mi"))
    done = run(own, "tail /dev/zero", app="small")
    assert done.returncode == 137, done.stderr
    if HOST_V2:
        assert "has ended: oom-container-limit" in done.stderr
        return

    def told():  # once more: of many kills at a time, also of others, the kernel's log reports some
        assert run(own, "tail /dev/zero", app="small").returncode == 137
        return [r for r in system_log(own, "small") if r["Reason"] == "OOMKilledChild"]

    until(told, "the child's kill is told", 60)
    rows = system_log(own, "small")
    assert not [r for r in rows if r["Reason"] == "ContainerTerminated"], rows
    revision = own.get(f"{APPS}/small/revisions")["value"][0]["name"]
    replica = own.get(f"{APPS}/small/revisions/{revision}/replicas")["value"][0]["properties"]["containers"][0]
    assert (replica["restartCount"], replica["runningState"]) == (0, "Running")
    assert "oomlab" not in replica
    assert run(own, "echo fine", app="small").stdout == "fine\n"


# --- ends -------------------------------------------------------------------------------------


def test_the_replica_is_killed_meanwhile(own, tmp_path):
    flag = tmp_path / "flag"
    create(own, "grows", app_body(["/bin/sh", "-c", f"until [ -e '{flag}' ]; do sleep 0.05; done; exec tail /dev/zero"], memory="48Mi"))
    client = begin(own, "sh -c 'echo there; exec sleep 100000'", app="grows")
    assert client.stdout.readline() == b"there\n"
    flag.touch()
    status, out, err = end(client)
    assert (status, out) == (137, b"")
    assert re.search(r"the container of replica 'grows--\S+' has ended: oom-container-limit", err), err


@pytest.mark.parametrize("how", ["delete", "restart"])
def test_the_replica_is_taken_away(own, how):
    name = mark()
    create(own, "web", app_body(SLEEP, memory="64Mi"))
    client = begin(own, f"sh -c 'echo there; sleep 100000 & sleep 100000 # {name}'")
    assert client.stdout.readline() == b"there\n"
    revision = own.get(f"{APPS}/web/revisions")["value"][0]["name"]
    if how == "delete":
        assert own.ask("DELETE", f"{APPS}/web")[0] in (202, 204)
    else:
        assert own.ask("POST", f"{APPS}/web/revisions/{revision}/restart")[0] == 200
    status, _, err = end(client)
    assert status == 137
    assert "has ended: killed-by-platform" in err, err
    assert processes(name) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_client_that_dies_takes_its_command_along(serve, number):
    """With children, also those in the background, and another exec is not touched."""
    name = mark()
    other = begin(serve, "cat")
    client = begin(serve, f"sh -c 'sh -c \"sleep 100000; : {name}\" & sh -c \"trap : TERM HUP; sleep 100000; : {name}\" & "
                          f"echo there; wait; : {name}'")
    assert client.stdout.readline() == b"there\n"
    until(lambda: len(processes(name)) >= 3, "all of it runs")
    client.send_signal(number)
    assert client.wait(30) == -number
    until(lambda: not processes(name), "the command is gone")
    other.stdin.write(b"still here\n")
    assert end(other)[:2] == (0, b"still here\n")


def test_serve_stops(own):
    name = mark()
    create(own, "web", app_body(SLEEP, memory="64Mi"))
    clients = [begin(own, f"sh -c 'echo there; sleep 100000; : {name}'") for _ in range(3)]
    for client in clients:
        assert client.stdout.readline() == b"there\n"
    own.stop()
    for client in clients:
        status, _, err = end(client)
        assert status == 1
        assert "oomlab serve is being stopped" in err, err
    assert processes(name) == []


def test_serve_is_killed(own):
    name = mark()
    create(own, "web", app_body(SLEEP, memory="64Mi"))
    client = begin(own, f"sh -c 'echo there; sleep 100000; : {name}'")
    assert client.stdout.readline() == b"there\n"
    own.kill()
    status, _, err = end(client)
    assert status == 1
    assert "the connection to oomlab serve is lost" in err
    until(lambda: not processes(name), "the command is gone")
    own.start()


def test_serve_stops_while_nobody_reads(own):
    create(own, "web", app_body(SLEEP, memory="64Mi"))
    client = begin(own, "cat /dev/zero")
    assert client.stdout.read(10) == bytes(10)
    own.stop()
    client.kill()
    client.communicate(timeout=30)


def test_several_at_a_time(serve):
    clients = [begin(serve, f"sh -c 'echo {i}; cat; exit {i}'") for i in range(8)]
    for i, client in enumerate(clients):
        assert client.stdout.readline() == f"{i}\n".encode()
    done = run(serve, "true")
    assert done.returncode == 1
    assert "TooManyCommands" in done.stderr, done.stderr
    for i, client in enumerate(clients):
        client.stdin.write(f"to {i}".encode())
        assert end(client)[:2] == (i, f"to {i}".encode())
    until(lambda: run(serve, "true").returncode == 0, "there is room again")


def test_a_child_in_the_background_does_not_hold_the_client(serve):
    name = mark()
    done = run(serve, f"sh -c 'sh -c \"sleep 100000; : {name}\" & echo there'")
    assert (done.returncode, done.stdout) == (0, "there\n")
    assert run(serve, f"pkill -f {name}").returncode == 0  # it is the container's now


# --- bytes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "data"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for i in range(LARGE >> 20):
            file.write(i.to_bytes(8, "big") + block[8:])
    yield path
    path.unlink()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_large_input(serve, large):
    with large.open("rb") as file:
        done = run(serve, "sha256sum", stdin=file)
    assert done.stdout.split()[0] == digest(large)


def test_large_output(serve, large, tmp_path):
    with (tmp_path / "out").open("wb") as file:
        client = begin(serve, f"cat {large}", stdin=subprocess.DEVNULL, stdout=file)
        assert end(client)[0] == 0
    assert digest(tmp_path / "out") == digest(large)


def test_both_ways_through_pipes(serve, large, tmp_path):
    """Both at once, and errors as well."""
    with large.open("rb") as source, (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        feeder = subprocess.Popen(["cat"], stdin=source, stdout=subprocess.PIPE)
        client = begin(serve, "sh -c 'tee /dev/fd/2'", stdin=feeder.stdout, stdout=subprocess.PIPE, stderr=err)
        drain = subprocess.Popen(["cat"], stdin=client.stdout, stdout=out)
        feeder.stdout.close()
        client.stdout.close()
        assert client.wait(120) == 0
        assert drain.wait(60) == 0
        assert feeder.wait(60) == 0
    assert digest(tmp_path / "out") == digest(tmp_path / "err") == digest(large)


def test_nobody_reads_the_input(serve, tmp_path):
    """Endless input for a command that takes none of it, until it ends by itself."""
    flag = tmp_path / "flag"
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    client = begin(serve, f"sh -c 'echo there; until [ -e {flag} ]; do sleep 0.02; done; exit 3'", stdin=yes.stdout)
    yes.stdout.close()
    assert client.stdout.readline() == b"there\n"
    flag.touch()
    assert end(client)[0] == 3
    yes.wait(30)


def test_the_command_closes_its_input(serve):
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    client = begin(serve, "head -n 3", stdin=yes.stdout)
    yes.stdout.close()
    assert end(client)[:2] == (0, b"y\ny\ny\n")
    yes.wait(30)


def test_input_that_never_ends(serve):
    client = begin(serve, "sh -c 'exit 5'")
    assert client.wait(30) == 5
    client.communicate()


def test_nobody_reads_the_output(serve):
    """Serve goes on, and the command goes with its client."""
    name = mark()
    client = begin(serve, f"sh -c 'cat /dev/zero; : {name}'")
    assert client.stdout.read(1 << 20) == bytes(1 << 20)
    assert run(serve, "echo other").stdout == "other\n"
    assert serve.get("/healthz") == "ok\n"
    client.stdout.close()  # what it writes next fails
    assert client.wait(30) == 1
    assert b"standard output" in client.stderr.read()
    until(lambda: not processes(name), "the command is gone")


def test_output_after_the_end_of_input_and_before(serve):
    client = begin(serve, "sh -c 'exec 1>&-; cat >/dev/null; echo done >&2; exit 4'")
    client.stdin.write(b"x" * 100000)
    assert end(client) == (4, b"", "done\n")


# --- the API ----------------------------------------------------------------------------------

EXEC = f"{APPS}/web/oomlab/exec?api-version=2024-03-01"


def post(serve, body, path=EXEC, tcp=False, **headers):
    """The answer's status. Sent as a whole: a refusal does not wait for the body."""
    body = body if isinstance(body, str) else json.dumps(body)
    headers = {"Host": f"127.0.0.1:{serve.port()}", "Connection": "Upgrade", "Upgrade": PROTOCOL, "Content-Length": len(body),
               **headers}
    connection = http.client.HTTPConnection("127.0.0.1", serve.port(), timeout=30) if tcp else UnixConnection(serve.socket)
    connection.connect()
    with contextlib.closing(connection.sock) as sock:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sock.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\n{body}".encode())
        return int(sock.makefile("rb").readline().split()[1])


def test_who_may_not(serve):
    name = mark()
    body = {"command": ["/bin/sh", "-c", f"sleep 100000; : {name}"]}
    bearer = {"Authorization": f"Bearer {serve.token()}"}
    assert post(serve, body, tcp=True) == 401
    assert post(serve, body, tcp=True, Authorization="Bearer x") == 401
    assert post(serve, body, tcp=True, Host="evil.example", **bearer) == 421
    assert post(serve, body, tcp=True, Origin="http://evil.example", **bearer) == 403
    assert post(serve, body, Origin="http://evil.example") == 403
    assert processes(name) == []


def test_over_tcp(serve):
    env = {**os.environ, "OOMLAB_TOKEN": serve.token()}
    server = f"http://127.0.0.1:{serve.port()}"
    done = subprocess.run([oomlab_binary(), *arguments("cat", "web", "--server", server)], env=env, input=b"over tcp",
                          capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"over tcp"), done.stderr
    env["OOMLAB_TOKEN"] = "wrong"
    done = subprocess.run([oomlab_binary(), *arguments("cat", "web", "--server", server)], env=env, input=b"",
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"AuthenticationFailed" in done.stderr


@pytest.mark.parametrize("body", [
    "{", "[]", "{}", {"command": "ls"}, {"command": []}, {"command": [""]}, {"command": [1]}, {"command": ["ls", None]},
    {"command": ["x" * 70000]}, {"command": ["x"] * 2000}, '{"command": ["a\\u0000b"]}'])
def test_bodies_that_are_none(serve, body):
    assert post(serve, body) == 400


@pytest.mark.parametrize(("body", "status"), [
    ({"revision": "../x"}, 404), ({"replica": "../../etc"}, 404), ({"container": "x\n"}, 404), ({"revision": ""}, 404),
    ({"replica": "x" * 5000}, 404), ({"revision": "web--0000001/../x"}, 404)])
def test_names_that_are_none(serve, body, status):
    assert post(serve, {"command": ["true"], **body}) == status


def test_without_an_upgrade(serve):
    assert serve.ask("POST", EXEC, {"command": ["true"]})[0] == 426
    assert post(serve, {"command": ["true"]}, Upgrade="websocket") == 426
    assert serve.ask("GET", EXEC)[0] == 405
    assert post(serve, {"command": ["true"]}, path=EXEC.replace("web", "nothing")) == 404
    assert post(serve, {"command": ["true"]}, path=EXEC.replace(GROUP, GROUP + "x")) == 404


class Raw(UnixConnection):
    """An upgraded connection, spoken by hand."""

    def __init__(self, serve, command, **more):
        super().__init__(serve.socket)
        self.body = json.dumps({"command": command, **more})
        # The commands of the tests before are gone, and their places free only a moment later.
        until(self.upgrade, "a place for one more command")

    def upgrade(self):
        body = self.body
        self.connect()
        self.sock.sendall((f"POST {EXEC} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        self.file = self.sock.makefile("rb")
        status = self.file.readline()
        if status == b"HTTP/1.1 429 Too Many Requests\r\n":
            self.close()
            return False
        assert status == b"HTTP/1.1 101 Switching Protocols\r\n"
        while self.file.readline() != b"\r\n":
            pass
        return True

    def send(self, kind, payload=b""):
        self.sock.sendall(kind + bytes(3) + len(payload).to_bytes(4, "big") + payload)

    def receive(self):
        """A frame; None at the end."""
        try:
            header = self.file.read(8)
        except ConnectionResetError:
            return None
        return (header[:1], self.file.read(int.from_bytes(header[4:], "big"))) if len(header) == 8 else None


@pytest.mark.parametrize("sent", [b"x" * 8, b"i" + bytes(7), b"i\0\0\0\xff\xff\xff\xff", b"z\0\0\0\0\0\0\1a", b"o\0\0\0\0\0\0\1a",
                                  b"z" + bytes(7) + b"i\0\0\0\0\0\0\1a", b"w\0\0\0\0\0\0\4abcd"])
def test_frames_that_are_none(serve, sent):
    """The connection ends, the command with it."""
    name = mark()
    raw = Raw(serve, ["/bin/sh", "-c", f"echo there; sleep 100000; : {name}"])
    assert raw.receive() == (b"o", b"there\n")
    raw.sock.sendall(sent)
    assert raw.receive() is None
    until(lambda: not processes(name), "the command is gone")


def test_more_input_than_was_granted(serve):
    raw = Raw(serve, ["/bin/sleep", "100000"])
    with contextlib.suppress(OSError):
        for _ in range(11):  # the window, what fits into the command's pipe, and more
            raw.send(b"i", b"x" * 32768)
    while raw.receive() is not None:
        pass


def test_credit(serve):
    raw = Raw(serve, ["/bin/sh", "-c", "wc -c"])
    for _ in range(8):
        raw.send(b"i", b"x" * 32768)
    granted = 0
    while granted < 8 * 32768:
        kind, payload = raw.receive()
        assert kind == b"c"
        granted += int.from_bytes(payload, "big")
    assert granted == 8 * 32768
    raw.send(b"z")
    assert raw.receive() == (b"o", b"262144\n")
    assert raw.receive() == (b"x", bytes(4))
    assert raw.receive() is None


def test_a_frame_in_pieces(serve):
    raw = Raw(serve, ["/bin/cat"])
    for byte in b"i\0\0\0\0\0\0\3abc" + b"z" + bytes(7):
        raw.sock.sendall(bytes([byte]))
    frames = []
    while (frame := raw.receive()) is not None:
        frames.append(frame)
    assert [f for f in frames if f[0] != b"c"] == [(b"o", b"abc"), (b"x", bytes(4))]
