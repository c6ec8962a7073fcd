"""A plugin for pytest: kafka-python's fixtures make topics of so many replicas,
where there are as many nodes. Their own default is one."""

import functools
import os

from test.integration.fixtures import KafkaFixture

KafkaFixture.instance = functools.partial(KafkaFixture.instance, replicas=int(os.environ['REPLICAS']))
