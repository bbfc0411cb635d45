# SPDX-License-Identifier: Apache-2.0
"""--image oci:/path:tag and oci-archive:/path: images of real tools and hostile ones, unpacked and run."""

import gzip
import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from layouts import ARCHITECTURE, INDEX, LAYER, Layout, directory, entry, hardlink, layer, program, symlink, tagged
from serving import APPS, BUSYBOX, WAIT, Serve, app_body, missing, serve_images, until

SH = ["/bin/busybox", "sh", "-c"]


@pytest.fixture
def serve(tmp_path, no_leftovers):
    if not BUSYBOX.exists():
        missing("busybox-static")
    with serve_images(tmp_path / "serve") as server:
        yield server
    assert not list((tmp_path / "serve").glob("sessions/*/layer-*"))


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "layout")


def base(*more):
    return layer(directory("bin"), program("bin/busybox"), symlink("bin/sh", "busybox"), *more)


def put(serve, name, image, command=None, **more):
    more.setdefault("cpu", 0.25)
    more.setdefault("memory", "64Mi")
    return serve.ask("PUT", f"{APPS}/{name}", app_body(command, image=image, **more))


def create(serve, name, image, command=None, **more):
    """Create the app and wait: the last state of its operation."""
    status, value, headers = put(serve, name, image, command, **more)
    assert status == 201, value
    return serve.operation(headers)


def run(serve, name, image, command=None, **more):
    done = create(serve, name, image, command, **more)
    assert done["status"] == "Succeeded", done
    return done


def events(serve, name):
    return serve.get(f"{APPS}/{name}/oomlab/logs?type=system&tail=300")["value"]


def console(serve, name, wanted):
    """What the newest replica of the app printed, once it is complete."""
    def lines():
        status, value, _ = serve.ask("GET", f"{APPS}/{name}/oomlab/logs?type=console&tail=300")
        rows = [row["Log"] for row in value["value"]] if status == 200 else []
        return any(wanted in row for row in rows) and rows

    return until(lines, f"'{wanted}' on the console")


def unpacked(serve):
    """The root file systems in the cache."""
    return sorted(serve.directory.glob("images/sha256-*/rootfs"))


def only_root(serve):
    roots = unpacked(serve)
    assert len(roots) == 1, roots
    return roots[0]


def delete(serve, name):
    status, _, headers = serve.ask("DELETE", f"{APPS}/{name}")
    assert status == 202
    assert serve.operation(headers)["status"] == "Succeeded"


def refused(serve, name, image, *why, command=(*SH, "true")):
    status, value, _ = put(serve, name, image, command)
    assert status == 400, value
    for word in why:
        assert word in value["error"]["message"], value
    assert not unpacked(serve)


def failed(serve, name, image, *why, command=(*SH, "true")):
    """Taken, but the layers cannot be unpacked: nothing is left, and the row says why."""
    done = create(serve, name, image, command)
    assert done["status"] == "Failed", done
    row = until(lambda: [r for r in events(serve, name) if "ImagePullFailure" in r["Msg"]], "a failure")[0]
    for word in why:
        assert word in row["Msg"], row["Msg"]
        assert word in done["error"]["message"], done
    until(lambda: not list(serve.directory.glob("images/.*")), "nothing half unpacked is left")
    assert not unpacked(serve)


# --- real tools


def tool(*words):
    if not shutil.which(words[0]):
        missing(words[0])
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def umoci_layout(tmp_path):
    """busybox with a user, environment, working directory, entry point, arguments, and a file taken away again."""
    path, bundle, root = tmp_path / "umoci", tmp_path / "bundle", tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1234:1235::/home/app:/bin/sh\n")
    (root / "etc/group").write_text("app:x:1235:\nextra:x:77:other,app\nnone:x:78:other\n")
    (root / "etc/gone").write_text("of the first layer")
    (root / "etc/kept").write_text("of the first layer")
    tool("umoci", "init", "--layout", str(path))
    image = f"{path}:v1"
    tool("umoci", "new", "--image", image)
    tool("umoci", "insert", "--image", image, str(root / "bin"), "/bin")
    tool("umoci", "insert", "--image", image, str(root / "etc"), "/etc")
    tool("umoci", "unpack", "--image", image, str(bundle))
    (bundle / "rootfs/etc/gone").unlink()
    (bundle / "rootfs/etc/kept").write_text("of the last layer\n")
    tool("umoci", "repack", "--image", image, str(bundle))
    script = 'busybox id; busybox pwd; busybox env; busybox ls /etc; busybox cat /etc/kept; echo "$0 $1"; echo complete; '
    tool("umoci", "config", "--image", image, "--config.user", "app", "--config.workingdir", "/srv/made/for-it",
         "--config.env", "MODE=image", "--config.env", "OWN=image", "--config.entrypoint", "/bin/sh",
         "--config.entrypoint=-c", f"--config.entrypoint={script}{WAIT}", "--config.cmd", "zero", "--config.cmd", "one")
    return path


def assert_facts(lines):
    assert any(line.startswith("uid=1234(app) gid=1235(app) groups=1235(app),77(extra)")
               or line.startswith("uid=1234(app) gid=1235(app) groups=77(extra)") for line in lines), lines
    for line in ("/srv/made/for-it", "OWN=image", "MODE=asked", "HOME=/home/app", "of the last layer"):
        assert line in lines, lines
    assert "gone" not in lines


def test_an_image_of_umoci(serve, umoci_layout):
    run(serve, "real", f"oci:{umoci_layout}:v1", env=[("MODE", "asked")])
    lines = console(serve, "real", "complete")
    assert_facts(lines)
    assert "zero one" in lines
    texts = [(row["Reason"], row["Msg"]) for row in events(serve, "real")]
    assert ("PullingImage", f"Pulling image 'oci:{umoci_layout}:v1'") in texts
    assert any(reason == "PulledImage" and "Image size:" in text for reason, text in texts)
    revision = serve.get(f"{APPS}/real/revisions")["value"][0]
    digest = revision["properties"]["template"]["containers"][0]["oomlab"]["imageDigest"]
    assert [f"{digest.replace(':', '-')}"] == [path.parent.name for path in unpacked(serve)]


def test_arguments_replace_the_images_and_a_command_both(serve, umoci_layout):
    body = app_body(image=f"oci:{umoci_layout}", cpu=0.25, memory="64Mi")
    body["properties"]["template"]["containers"][0]["args"] = ["asked", "for"]
    assert serve.ask("PUT", f"{APPS}/args", body)[0] == 201
    assert "asked for" in console(serve, "args", "complete")
    run(serve, "command", f"oci:{umoci_layout}", ["/bin/sh", "-c", f"echo \"[$0]\"; {WAIT}"])
    assert "[/bin/sh]" in console(serve, "command", "[/bin/sh]")


@pytest.mark.parametrize("form", ["gzip", "zstd", "archive"])
def test_an_image_of_skopeo(serve, umoci_layout, tmp_path, form):
    target = tmp_path / "copied"
    if form == "archive":
        tool("skopeo", "copy", f"oci:{umoci_layout}:v1", f"oci-archive:{target}")
        image = f"oci-archive:{target}"
    else:
        tool("skopeo", "copy", "--dest-compress", "--dest-compress-format", form, f"oci:{umoci_layout}:v1",
             f"oci:{target}:copy")
        image = f"oci:{target}:copy"
    run(serve, "copied", image, env=[("MODE", "asked")])
    assert_facts(console(serve, "copied", "complete"))


# --- layers


def contents(root, owners=True):
    """Everything that can be seen of a tree."""
    seen = {}
    for path in [root, *root.rglob("*")]:
        info = path.lstat()
        kind = stat.S_IFMT(info.st_mode)
        about = [kind, info.st_nlink if kind != stat.S_IFDIR else 0]
        if kind != stat.S_IFLNK:
            about.append(stat.S_IMODE(info.st_mode))
        if owners:
            about += [info.st_uid, info.st_gid]
        if kind == stat.S_IFLNK:
            about.append(os.readlink(path))
        if kind == stat.S_IFREG:
            about += [path.read_bytes(), info.st_mtime_ns, tuple(
                (name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)) if name.startswith("user."))]
        seen[str(path.relative_to(root))] = tuple(about)
    return seen


def many_layers():
    """Whiteouts, opaque directories, replaced kinds, links: as the layers of real images have them, and worse."""
    first = base(
        directory("a", mode=0o2750, uid=5, gid=6, mtime=1e9), entry("a/kept", content=b"1", mtime=1e9 + 0.5),
        entry("a/gone", content=b"1"), entry("a/changed", content=b"1", mode=0o4711, uid=7, gid=8),
        directory("a/deep"), entry("a/deep/er", content=b"1"), directory("opaque"), entry("opaque/old", content=b"1"),
        directory("opaque/sub"), entry("opaque/sub/old", content=b"1"), directory("to-file"), entry("to-file/x"),
        entry("to-directory", content=b"1"), symlink("link", "a"), symlink("absolute", "/a"), symlink("up", "../../../a"),
        entry("linked", content=b"linked", mode=0o640, uid=9), hardlink("a/hard", "linked"), hardlink("soft-hard", "link"),
        entry("umlaut-\u00e4\u4e2d", content=b"name"), entry("long/" + "/".join(["n" * 60] * 5), content=b"long"),
        entry("pipe", tarfile.FIFOTYPE), entry("lib-target/x"), symlink("lib", "lib-target"),
        entry("attributes", content=b"x", pax_headers={"SCHILY.xattr.user.colour": "blue"}),
        directory("whole"), entry("whole/x"), directory("whole/y"), entry("whole/y/z"),
    )
    second = layer(
        entry("a/.wh.gone"), entry("a/changed", content=b"22", mode=0o600), entry("a/.wh.deep"),
        entry("opaque/new", content=b"2"), entry("opaque/sub/new", content=b"2"), entry("opaque/.wh..wh..opq"),
        entry("opaque/last", content=b"2"), entry("to-file", content=b"2"), directory("to-directory"),
        entry("to-directory/x", content=b"2"), entry("link/through", content=b"2"), entry("up/above", content=b"2"),
        entry("absolute/from-root", content=b"2"), entry(".wh.whole"), entry(".wh.never-there"),
        hardlink("hard-again", "a/kept"), entry("lib/y", content=b"2"), symlink("linked", "a/kept"),
    )
    third = layer(directory("./", mode=0o755), entry("./a/./gone", content=b"back"), entry("a//slashes", content=b"3"),
                  entry("a/gone", content=b"twice"), symlink("link", "opaque"), entry("link/after", content=b"3"))
    return first, second, third


@pytest.mark.parametrize("compression", ["", "+gzip"])
def test_layers_are_as_umoci_unpacks_them(serve, layout, tmp_path, compression):
    layout.image(*many_layers(), tag="t", compression=compression)
    run(serve, "layers", f"oci:{layout.path}:t", [*SH, WAIT])
    tool("umoci", "unpack", "--image", f"{layout.path}:t", str(tmp_path / "bundle"))
    expected = contents(tmp_path / "bundle/rootfs")
    found = contents(only_root(serve))
    assert {"a/gone", "opaque/new", "opaque/last", "opaque/after", "a/through", "a/above", "a/from-root"} <= set(found)
    assert not {"opaque/old", "opaque/sub/old", "whole", "a/deep", "to-file/x"} & set(found)
    for name in sorted(set(expected) | set(found)):
        assert found.get(name) == expected.get(name), name


def test_a_whiteout_hides_nothing_of_its_own_layer(serve, layout):
    layout.image(base(entry("d/lower"), entry("e/f/lower")),
                 layer(entry("d/own", content=b"own"), entry("d/.wh.own"), entry("e/f/own"), entry(".wh.e"),
                       entry("d/.wh..wh..opq")), tag="t")
    run(serve, "own", f"oci:{layout.path}:t", [*SH, WAIT])
    root = only_root(serve)
    assert (root / "d/own").read_bytes() == b"own"
    assert sorted(str(p.relative_to(root)) for p in root.glob("[de]/**/*")) == ["d/own", "e/f", "e/f/own"]


def test_devices_are_left_out_with_a_word(serve, layout):
    layout.image(base(entry("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
                      entry("disk", tarfile.BLKTYPE, devmajor=254, devminor=0)), tag="t")
    run(serve, "devices", f"oci:{layout.path}:t", [*SH, f"echo lost >/dev/null && echo complete; {WAIT}"])
    console(serve, "devices", "complete")
    assert not (only_root(serve) / "disk").exists()
    row = [row for row in events(serve, "devices") if row["Reason"] == "ImageDevicesSkipped"][0]
    assert "2 device nodes" in row["Msg"]


def test_layers_of_the_overlay_itself_are_not_believed(serve, layout):
    layout.image(base(directory("trap", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/etc",
                                                     "SCHILY.xattr.trusted.overlay.opaque": "y",
                                                     "SCHILY.xattr.user.overlay.opaque": "y"}),
                      entry("trap/file", content=b"seen\n", pax_headers={"SCHILY.xattr.trusted.overlay.metacopy": ""})),
                 tag="t")
    run(serve, "overlay", f"oci:{layout.path}:t", [*SH, f"busybox cat /trap/file; {WAIT}"])
    console(serve, "overlay", "seen")
    assert os.listxattr(only_root(serve) / "trap") == []


# --- hostile ones


@pytest.mark.parametrize(("members", "why"), [
    ([entry("../escaped", content=b"x")], ".."),
    ([entry("a/../../escaped", content=b"x")], ".."),
    ([directory("a"), entry("a/.wh...", content=b"")], "whiteout"),
    ([entry(".wh..")], "whiteout"),
    ([entry(".wh.")], "whiteout"),
    ([hardlink("shadow", "../../../../../../../../etc/shadow")], "hard link"),
    ([hardlink("shadow", "/etc/shadow-that-no-image-has")], "hard link"),
    ([symlink("out", "/etc"), hardlink("shadow", "out/shadow")], "hard link"),
    ([entry("file", content=b"x"), entry("file/below", content=b"x")], "Not a directory"),
    ([symlink("loop", "loop"), entry("loop/x", content=b"x")], "Too many levels"),
    ([entry("n" * 300, content=b"x")], "too long"),
    ([entry("owner", content=b"x", uid=2**32 - 1)], "owner"),
    ([symlink("self", "/proc/self/root"), entry("self/tmp/x", content=b"x")], "self"),
])
def test_hostile_layers(serve, layout, tmp_path, members, why):
    outside = {path: path.stat().st_mtime_ns for path in (tmp_path, Path("/etc"), serve.directory)}
    layout.image(base(), layer(*members), tag="t")
    failed(serve, "hostile", f"oci:{layout.path}:t", why, "layer 2 of 2")
    assert not list(tmp_path.rglob("*escaped*"))
    assert Path("/etc").stat().st_mtime_ns == outside[Path("/etc")]


def test_links_lead_nowhere_but_into_the_image(serve, layout, tmp_path):
    """Written through, whited out, linked to: by names that exist on this machine, too."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "secret").write_text("secret")
    up = "../" * 30
    layout.image(
        base(directory(str(target).lstrip("/")), symlink("absolute", str(target)), symlink("relative", f"{up}{target}")),
        layer(entry("absolute/one", content=b"x"), entry("relative/two", content=b"x"),
              entry(f"{target}/three", content=b"x"), entry("absolute/.wh.secret"), entry("relative/.wh..wh..opq"),
              directory("absolute/directory", mode=0o777)), tag="t")
    run(serve, "links", f"oci:{layout.path}:t", [*SH, WAIT])
    assert [path.name for path in target.iterdir()] == ["secret"]
    inside = only_root(serve) / str(target).lstrip("/")
    assert sorted(path.name for path in inside.iterdir()) == ["directory", "one", "three", "two"]


def test_a_container_cannot_change_the_image_or_leave_it(serve, layout, tmp_path):
    layout.image(base(entry("file", content=b"of the image")), tag="t")
    script = f"echo changed >/file; busybox rm -rf /bin/sh; busybox ls /{tmp_path} || echo complete; {WAIT}"
    run(serve, "writer", f"oci:{layout.path}:t", [*SH, script])
    console(serve, "writer", "complete")
    assert (only_root(serve) / "file").read_bytes() == b"of the image"
    assert (only_root(serve) / "bin/sh").is_symlink()


# --- documents


def breaking(change):
    def apply(layout):
        digest = layout.image(base(), tag="t")
        change(layout, digest)
    return apply


def rewrite(digest_to_bytes):
    def change(layout, digest):
        path = layout.blob_path(digest)
        path.write_bytes(digest_to_bytes(path.read_bytes()))
    return breaking(change)


def of_config(change):
    def apply(layout, digest):
        manifest = json.loads(layout.blob_path(digest).read_bytes())
        change(layout.blob_path(manifest["config"]["digest"]))
    return breaking(apply)


def other_index(text):
    return breaking(lambda layout, digest: (layout.path / "index.json").write_text(text, encoding="utf-8"))


@pytest.mark.parametrize(("make", "why"), [
    (other_index("{"), "no JSON"),
    (other_index('{"manifests": []}'), "lists no image"),
    (other_index('{"manifests": [{"digest": "sha256:../../../../etc/passwd", "size": 1}]}'), "no image with the tag"),
    (breaking(lambda layout, _: (layout.path / "index.json").unlink()), "no 'index.json'"),
    (rewrite(lambda data: data + b" "), "copy the image anew"),
    (rewrite(lambda data: data.replace(b"layers", b"lavers")), "damaged"),
    (of_config(lambda path: path.unlink()), "not complete"),
    (of_config(lambda path: path.write_bytes(path.read_bytes().replace(b"linux", b"Linux"))), "damaged"),
    (lambda layout: layout.image(base(), tag="t", document={"architecture": "pdp11"}), "linux/pdp11"),
    (lambda layout: layout.image(base(), tag="t", document={"rootfs": {"diff_ids": []}}), "0 layers and its manifest 1"),
    (lambda layout: layout.image(base(), tag="t", schemaVersion=1), "schema version 2"),
    (lambda layout: layout.image(base(), tag="t", layers=[{"mediaType": LAYER + "+encrypted"}]), "+encrypted"),
    (lambda layout: layout.image(base(), tag="t", layers=[{"mediaType": LAYER, "digest": "md5:1", "size": 1}]), "sha256"),
    (lambda layout: layout.image(*[layer()] * 129, tag="t"), "129 layers"),
    (lambda layout: layout.image(base(), tag="other"), "there are: other"),
    (lambda layout: layout.image(base(), tag="t", config={"Entrypoint": "/bin/sh"}), "Entrypoint is no list"),
])
def test_documents_that_are_wrong(serve, layout, make, why):
    make(layout)
    refused(serve, "wrong", f"oci:{layout.path}:t", why, str(layout.path))
    archive = layout.archive(layout.path.with_suffix(".tar"))
    refused(serve, "wrong", f"oci-archive:{archive}:t", why)


@pytest.mark.parametrize("compression", ["", "+gzip"])
def test_a_damaged_layer(serve, layout, compression):
    """A bit of a file's content: the tar file is fine, its digest is not."""
    data = base(entry("victim", content=b"victim" * 100))
    digest = layout.image(data, tag="t", compression=compression)
    manifest = json.loads(layout.blob_path(digest).read_bytes())
    path = layout.blob_path(manifest["layers"][0]["digest"])
    changed = data.replace(b"victim" * 100, b"victim" * 99 + b"Victim")
    packed = changed if not compression else gzip.compress(changed)
    layers = [{**manifest["layers"][0], "size": len(packed)}]
    layout.manifests.clear()
    layout.index(tagged(layout.manifest([data], layers=layers), "t"))
    path.write_bytes(packed)
    failed(serve, "damaged", f"oci:{layout.path}:t", "is damaged")


def test_a_layer_that_the_configuration_does_not_name(serve, layout):
    layout.image(base(), tag="t", document={"rootfs": {"diff_ids": ["sha256:" + 64 * "0"]}})
    failed(serve, "other", f"oci:{layout.path}:t", "not the one that the image's configuration names")


@pytest.mark.parametrize("data", [b"no tar file at all" * 100, base()[:100000]], ids=["text", "cut"])
def test_a_layer_that_is_no_tar_file(serve, layout, data):
    layout.image(data, tag="t")
    failed(serve, "none", f"oci:{layout.path}:t", "layer cannot be read")


def test_layouts_with_links_and_pipes(serve, layout, tmp_path):
    layout.image(base(), tag="t")
    index = layout.path / "index.json"
    text = index.read_bytes()
    index.unlink()
    (tmp_path / "elsewhere").write_bytes(text)
    index.symlink_to("../elsewhere")
    refused(serve, "link", f"oci:{layout.path}:t", "leads out")
    index.unlink()
    os.mkfifo(index)
    refused(serve, "pipe", f"oci:{layout.path}:t", "no regular file")


def test_archives_that_are_none(serve, layout, tmp_path):
    layout.image(base(), tag="t")
    archive = layout.archive(tmp_path / "plain.tar")
    (tmp_path / "packed.tar").write_bytes(gzip.compress(archive.read_bytes()))
    (tmp_path / "text").write_text("text" * 1000)
    with tarfile.open(tmp_path / "docker.tar", "w") as tar:
        for name in ("manifest.json", "repositories"):
            tar.addfile(*[tarfile.TarInfo(name)])
    os.mkfifo(tmp_path / "pipe")
    refused(serve, "packed", f"oci-archive:{tmp_path}/packed.tar", "gunzip")
    refused(serve, "text", f"oci-archive:{tmp_path}/text", "no tar file")
    refused(serve, "docker", f"oci-archive:{tmp_path}/docker.tar", "Docker archive", "skopeo")
    refused(serve, "pipe", f"oci-archive:{tmp_path}/pipe", "is no file")
    refused(serve, "folder", f"oci-archive:{layout.path}", "'oci:'")
    refused(serve, "file", f"oci:{archive}", "'oci-archive:'")
    refused(serve, "short", f"oci-archive:{archive}:other", "no image with the tag 'other'")
    run(serve, "plain", f"oci-archive:{archive}:t", [*SH, WAIT])


@pytest.mark.parametrize(("image", "why"), [
    ("oci:relative", "absolute"), ("oci:", "absolute"), ("oci:/a/../b", "absolute"), ("oci:/a//b:t", "absolute"),
    ("oci:/nothing/here:t", "No such file"), ("oci:/tmp:", "tag"), ("oci:/tmp:a b", "tag"), ("oci:/tmp:a\nb", "tag"),
    ("oci-archive:file.tar", "absolute"), ("oci-archive:/nothing/here.tar", "No such file"),
    ("docker-archive:/tmp/x.tar", "skopeo"), ("docker://nginx", "nothing is pulled"), ("nginx:1", "skopeo copy")])
def test_references_that_are_refused(serve, image, why):
    refused(serve, "reference", image, why)


# --- choosing


def test_the_image_for_this_machine_is_chosen(serve, layout):
    """A nested index, as multi-platform builders write them, with an attestation in it."""
    def one(word, **document):
        return layout.manifest([base(entry("which", content=word.encode()))], document=document)

    here = {"os": "linux", "architecture": ARCHITECTURE}
    inner = layout.blob({"schemaVersion": 2, "manifests": [
        {**one("other", architecture="pdp11"), "platform": {"os": "linux", "architecture": "pdp11"}},
        {**one("windows", os="windows"), "platform": {**here, "os": "windows"}},
        {**one("attestation"), "platform": {"os": "unknown", "architecture": "unknown"}},
        {**one("right"), "platform": here}, {**one("second"), "platform": here}]}, INDEX)
    layout.index(tagged(inner, "t"), tagged(one("tagged"), "other"))
    run(serve, "multi", f"oci:{layout.path}:t", [*SH, WAIT])
    assert (only_root(serve) / "which").read_text() == "right"
    refused_body = put(serve, "none", f"oci:{layout.path}", [*SH, "true"])
    assert refused_body[0] == 400 and "add ':' and a tag: t, other" in refused_body[1]["error"]["message"]


def test_no_image_for_this_machine(serve, layout):
    layout.index(tagged({**layout.manifest([base()]), "platform": {"os": "linux", "architecture": "pdp11"}}, "t"))
    refused(serve, "none", f"oci:{layout.path}:t", "only for linux/pdp11")


def test_an_image_without_an_entry_point(serve, layout):
    layout.image(base(), tag="t")
    refused(serve, "none", f"oci:{layout.path}:t", "give a command", command=None)


@pytest.mark.parametrize(("user", "seen"), [
    ("", "uid=0 gid=0"), ("12", "uid=12 gid=0"), ("12:13", "uid=12 gid=13"), ("app:13", "uid=5 gid=13"),
    ("5", "uid=5 gid=6"), ("app:staff", "uid=5 gid=50")])
def test_users(serve, layout, user, seen):
    layout.image(base(entry("etc/passwd", content=b"app:x:5:6::/h:/bin/sh\n"), entry("etc/group", content=b"staff:x:50:\n")),
                 tag="t", config={"User": user, "Entrypoint": [*SH, "busybox id; echo to-a-link >/dev/stdout; " + WAIT]})
    run(serve, "user", f"oci:{layout.path}:t")
    lines = console(serve, "user", "to-a-link")
    plain = lines[0].replace("(app)", "").replace("(staff)", "")
    assert plain.startswith(seen), lines


@pytest.mark.parametrize("user", ["nobody-here", "app:nobody-here", "-1", "4294967295"])
def test_users_who_are_not_there(serve, layout, user):
    layout.image(base(entry("etc/passwd", content=b"app:x:5:6::/h:/bin/sh\n")), tag="t", config={"User": user})
    done = create(serve, "user", f"oci:{layout.path}:t", [*SH, WAIT])
    assert done["status"] == "Failed"
    assert user.split(":")[-1] in done["error"]["message"]


# --- the life of an unpacked image


def test_each_container_has_a_layer_of_its_own(serve, layout):
    """Replicas do not see each other's files, and a restarted container starts from the image."""
    layout.image(base(), tag="t")
    script = f"busybox ls / | busybox grep -c seen; echo >/seen-by-none; echo written; {WAIT}"
    run(serve, "own", f"oci:{layout.path}:t", [*SH, script], minReplicas=2, maxReplicas=2)
    revision = serve.get(f"{APPS}/own")["properties"]["latestRevisionName"]
    names = [r["name"] for r in serve.get(f"{APPS}/own/revisions/{revision}/replicas")["value"]]

    def counts(name):
        rows = serve.get(f"{APPS}/own/oomlab/logs?type=console&replica={name}")["value"]
        return [row["Log"] for row in rows]

    for name in names:
        until(lambda: counts(name) == ["0", "written"], "a fresh start")  # noqa: B023
    assert len(list(serve.directory.glob("sessions/*/layer-*/upper/seen-by-none"))) == 2
    assert serve.ask("POST", f"{APPS}/own/revisions/{revision}/restart")[0] == 200
    for name in names:
        until(lambda: counts(name) == ["0", "written", "0", "written"], "another fresh start")  # noqa: B023
    delete(serve, "own")
    assert not list(serve.directory.glob("sessions/*/layer-*"))


def test_it_is_unpacked_once_and_removed_with_its_last_app(serve, layout):
    layout.image(base(), tag="t")
    layout.image(base(), tag="same")
    run(serve, "one", f"oci:{layout.path}:t", [*SH, WAIT])
    before = only_root(serve).stat()
    run(serve, "two", f"oci:{layout.path}:same", [*SH, WAIT])
    assert only_root(serve).stat().st_ino == before.st_ino
    assert not [row for row in events(serve, "two") if row["Reason"] == "PullingImage"]
    delete(serve, "one")
    assert only_root(serve).stat().st_ino == before.st_ino
    delete(serve, "two")
    until(lambda: not list(serve.directory.glob("images/*")) and not list(serve.directory.glob("images/.*")),
          "the image is removed")


def test_a_revision_stays_with_its_image(serve, layout):
    """The tag moves on: what runs already is restarted as it was, also when it must be unpacked again."""
    def printing(word):
        return layout.image(base(entry("word", content=word.encode())), tag="t",
                            config={"Cmd": [*SH, f"busybox cat /word; echo; {WAIT}"]})

    first = printing("first")
    run(serve, "pinned", f"oci:{layout.path}:t")
    console(serve, "pinned", "first")
    layout.manifests.clear()
    printing("second")
    serve.kill()
    shutil.rmtree(serve.directory / "images")
    serve.start()
    console(serve, "pinned", "first")
    run(serve, "newer", f"oci:{layout.path}:t")
    console(serve, "newer", "second")
    serve.kill()
    shutil.rmtree(serve.directory / "images")
    layout.blob_path(first).unlink()
    serve.start()
    row = until(lambda: [r for r in events(serve, "pinned") if "ImagePullFailure" in r["Msg"]], "a failure")[0]
    assert "not complete" in row["Msg"] and first.removeprefix("sha256:") in row["Msg"]
    console(serve, "newer", "second")


def large_layer(files=4000):
    return base(*[entry(f"many/{i % 50}/{i}", content=bytes([i % 256]) * 5000) for i in range(files)])


def test_kill_9_while_it_is_unpacked(serve, layout):
    """At ten moments of it: the next start goes on from nothing, and what it unpacks is whole."""
    def count(directory):  # unlike rglob() it bears that the directory is moved meanwhile
        return sum(len(directories) + len(files) for _, directories, files in os.walk(directory))

    layout.image(large_layer(), tag="t")
    assert put(serve, "big", f"oci:{layout.path}:t", [*SH, WAIT])[0] == 201
    for part in range(10):
        found = until(lambda: list(serve.directory.glob("images/.part-*")) or unpacked(serve), "unpacking", 120)
        if unpacked(serve):
            break
        wanted = part * 400
        until(lambda: count(found[0]) >= wanted or unpacked(serve), "some files", 120)  # noqa: B023
        serve.kill()
        assert unpacked(serve) or list(serve.directory.glob("images/.part-*"))
        serve.start()
    assert part > 1
    revision = serve.get(f"{APPS}/big")["properties"]["latestRevisionName"]
    until(lambda: serve.get(f"{APPS}/big/revisions/{revision}")["properties"]["healthState"] == "Healthy", "it runs", 120)
    files = [path for path in only_root(serve).glob("many/*/*")]
    assert len(files) == 4000
    assert all(path.stat().st_size == 5000 for path in files)
    until(lambda: not list(serve.directory.glob("images/.*")), "nothing half unpacked is left")


def test_serve_answers_and_stops_while_it_unpacks(serve, layout):
    layout.image(large_layer(20000), tag="t")
    assert put(serve, "big", f"oci:{layout.path}:t", [*SH, WAIT])[0] == 201
    until(lambda: list(serve.directory.glob("images/.part-*/rootfs/many")), "unpacking")
    start = time.monotonic()
    assert serve.ask("GET", "/healthz")[0] == 200
    state = serve.get(f"{APPS}/big")["properties"]["provisioningState"]
    answered = time.monotonic() - start
    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(30) == 0
    assert state == "InProgress"
    assert answered < 5
    assert not list(serve.directory.glob("images/.part-*")) and not unpacked(serve)


def test_an_app_that_goes_while_its_image_is_unpacked(serve, layout):
    layout.image(large_layer(), tag="t")
    assert put(serve, "big", f"oci:{layout.path}:t", [*SH, WAIT])[0] == 201
    until(lambda: list(serve.directory.glob("images/.part-*")), "unpacking")
    delete(serve, "big")
    until(lambda: not list(serve.directory.glob("images/*")) and not list(serve.directory.glob("images/.*")),
          "the image is removed")


def test_the_verb_takes_a_path_from_where_it_is_typed(serve, layout):
    layout.image(base(), tag="t")
    for name, path in (("one", "layout"), ("two", "./layout")):
        done = serve.az("containerapp", "create", "--name", name + "-app", "--resource-group", "rg", "--environment", "env",
                        "--image", f"oci:{path}:t", "--command", *SH, WAIT, "--cpu", "0.25", "--memory", "0.5Gi",
                        "--query", "properties.template.containers[0].image", "-o", "tsv", cwd=layout.path.parent)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"oci:{layout.path}:t\n"


def test_without_cap_sys_admin(tmp_path, layout, no_leftovers):
    """What an ordinary user has: the image's users are all the one, and the overlay is of a user namespace."""
    probe = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    (tmp_path / "overlay").mkdir()
    for name in ("l", "u", "w", "m"):
        (tmp_path / "overlay" / name).mkdir()
    if subprocess.run([*probe, "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "sh", "-c",
                       "mount -t proc proc /proc && cd overlay && mount -t overlay -o "
                       "lowerdir=l,upperdir=u,workdir=w,userxattr overlay m"], cwd=tmp_path, capture_output=True,
                      check=False).returncode != 0:
        missing("a user namespace that may mount /proc and overlays")
    script = f"busybox id; busybox pwd; echo own >/home/x; busybox stat -c %u /owned; busybox cat /home/x; {WAIT}"
    layout.image(base(directory("home"), entry("owned", content=b"x", uid=77),
                      entry("etc/passwd", content=b"app:x:5:6::/home:/bin/sh\n")), tag="t",
                 config={"User": "app", "WorkingDir": "/new/place", "Entrypoint": [*SH, script]})
    server = Serve(tmp_path / "serve", "--allow-any-size", prefix=probe).start()
    try:
        server.prepare()
        run(server, "ordinary", f"oci:{layout.path}:t")
        lines = console(server, "ordinary", "own")
        assert lines[0].startswith("uid=5(app) gid=6"), lines
        assert lines[1:4] == ["/new/place", "5", "own"]
        assert (unpacked(server)[0] / "owned").stat().st_uid == os.geteuid()
    finally:
        server.stop()
    assert not list(server.directory.glob("sessions/*/layer-*"))
