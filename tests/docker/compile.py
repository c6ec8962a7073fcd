"""Builds the image from the sources, and saves it to a file for cases.py.

The whole of docker/Dockerfile runs, in the machine's own network, where the registries of
Debian and Rust are. Only its base images are made here instead of pulled.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from cases import BASE_IMAGE, HERE, IMAGE, REPOSITORY
from daemon import Daemon, NotPermitted

BUILD_SECONDS = 7200
CERTIFICATES = pathlib.Path('/etc/ssl/certs/ca-certificates.crt')


def main(archive: pathlib.Path) -> int:
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-docker-'))
    daemon = None
    try:
        daemon = Daemon(directory, '--bridge=none', '--iptables=false')
        daemon.docker('import', os.environ['OTTLA_BASE'], BASE_IMAGE)
        make_rust_image(daemon, directory / 'rust')
        began = time.monotonic()
        build(daemon, IMAGE, REPOSITORY / 'docker' / 'Dockerfile', REPOSITORY)
        print(f'compiled in {time.monotonic() - began:.0f} s')
        daemon.docker('save', '--output', archive, IMAGE)
    except NotPermitted as why:
        print(f'skipped: nothing can be compiled in an image here: {why}')
    finally:
        if daemon:
            daemon.discard()
        shutil.rmtree(directory)
    return 0


def make_rust_image(daemon: Daemon, root: pathlib.Path) -> None:
    """The image in which the Dockerfile compiles, under the name that it has there."""
    name = re.search(r'^ARG RUST=(\S+)$', (REPOSITORY / 'docker' / 'Dockerfile').read_text(), re.MULTILINE)[1]
    lay_out_toolchain(root)
    try:
        build(daemon, name, HERE / 'rust.Dockerfile', root)
    except AssertionError as failed:
        last = str(failed).strip().rpartition('\n')[2]
        raise NotPermitted(f'Debian packages or crates cannot be had: {last}') from failed


def build(daemon: Daemon, image: str, file: pathlib.Path, context: pathlib.Path) -> None:
    daemon.docker('build', '--network', 'host', '--file', file, '--tag', image, context, within=BUILD_SECONDS)


def lay_out_toolchain(root: pathlib.Path) -> None:
    """The files that rust.Dockerfile adds to Debian: the toolchain of this checkout, where Docker's own image has
    it and with no more components, and the authorities that this machine trusts."""
    rustup = shutil.which('rustup')
    if not rustup:
        raise NotPermitted('the toolchain is not from rustup')
    sysroot = subprocess.run(['rustc', '--print', 'sysroot'], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    toolchain = pathlib.Path(sysroot.strip())
    home = root / 'usr/local/rustup'
    copied = home / 'toolchains' / toolchain.name
    shutil.copytree(toolchain.resolve(), copied, symlinks=True, ignore=shutil.ignore_patterns('doc', 'cargo-clippy', 'cargo-fmt'))
    listed = copied / 'lib/rustlib/components'
    listed.write_text(''.join(f'{name}\n' for name in listed.read_text().split() if re.match('(cargo|rustc|rust-std)-', name)))
    (home / 'settings.toml').write_text(f'version = "12"\ndefault_toolchain = "{toolchain.name}"\nprofile = "minimal"\n')
    programs = root / 'usr/local/cargo/bin'
    shutil.copytree(pathlib.Path(rustup).parent, programs, symlinks=True)
    trusted = root / CERTIFICATES.relative_to('/')
    trusted.parent.mkdir(parents=True)
    shutil.copy(CERTIFICATES, trusted)


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
