# SPDX-License-Identifier: Apache-2.0
"""OCI image layouts made by hand, so that they can be wrong in every way."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def entry(name, kind=tarfile.REGTYPE, content=b"", **fields):
    """One member of a layer. Fields are TarInfo's: mode, uid, gid, linkname, mtime, pax_headers, ..."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(content), 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def directory(name, **fields):
    return entry(name, tarfile.DIRTYPE, **fields)


def symlink(name, target, **fields):
    return entry(name, tarfile.SYMTYPE, linkname=target, **fields)


def hardlink(name, target, **fields):
    return entry(name, tarfile.LNKTYPE, linkname=target, **fields)


def program(path, source="/bin/busybox"):
    return entry(path, content=Path(source).read_bytes(), mode=0o755)


def layer(*entries):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


class Layout:
    """A directory that grows blobs, images and an index."""

    def __init__(self, path: Path):
        self.path = path
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="ascii")
        self.manifests = []

    def blob(self, data, media_type, **more):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        digest = digest_of(data)
        self.blob_path(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def blob_path(self, digest):
        return self.path / "blobs/sha256" / digest.removeprefix("sha256:")

    def manifest(self, tars, config=None, compression="", document=None, **changes):
        """The descriptor of an image of these tar files."""
        pack = {"": lambda data: data, "+gzip": gzip.compress}[compression]
        document = {"os": "linux", "architecture": ARCHITECTURE, "config": config or {},
                    "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in tars]}, **(document or {})}
        manifest = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.blob(document, "application/vnd.oci.image.config.v1+json"),
            "layers": [self.blob(pack(data), LAYER + compression) for data in tars], **changes}
        return self.blob(manifest, MANIFEST)

    def index(self, *descriptors):
        self.manifests += descriptors
        self.write_index({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests})

    def write_index(self, document):
        (self.path / "index.json").write_text(json.dumps(document), encoding="utf-8")

    def image(self, *tars, tag=None, **more):
        """Add an image under a tag; its manifest's digest."""
        descriptor = self.manifest(tars, **more)
        self.index(tagged(descriptor, tag) if tag else descriptor)
        return descriptor["digest"]

    def archive(self, path):
        """The same as a tar file."""
        with tarfile.open(path, "w") as tar:
            for member in sorted(self.path.rglob("*")):
                if member.is_file():
                    tar.add(member, str(member.relative_to(self.path)))
        return path


def tagged(descriptor, tag):
    return {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
