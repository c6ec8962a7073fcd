"""Debian's python3-kafka 2.0.2."""

import pathlib

import pytest

from conftest import BOOTSTRAP

SCRIPT = pathlib.Path(__file__).with_name('client_2_0_2.py')


@pytest.mark.parametrize('case', ['version_is_detected', 'produce_and_consume', 'codecs', 'acks',
                                  'group_commits_and_resumes', 'offsets', 'commit_with_metadata',
                                  'topics_and_partitions', 'admin'])
def test_client(run, case):
    # -I: Debian's packages only, whatever this test's own Python has.
    output = run('/usr/bin/python3', '-I', SCRIPT, BOOTSTRAP, case).stdout
    assert output.startswith('2.0.2')
