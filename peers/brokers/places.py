"""Where things are: this folder and the cache that packages are brought to."""

import os
import pathlib

PEERS = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(
    os.environ.get('OTTLA_CACHE')
    or pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'ottla') / 'peers'
