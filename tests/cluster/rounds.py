"""Rounds of faults on a cluster of real processes, judged by the history checker."""

import argparse
import collections
import contextlib
import pathlib
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

import checker  # noqa: E402
from client import Client  # noqa: E402
from faults import FAULTS, Round  # noqa: E402
from network import CLIENTS, Network, NotPermitted  # noqa: E402
from nodes import Cluster  # noqa: E402

SKIPPED = 0


class CheckerOnHost(checker.Checker):
    """The checker on the clients' host."""

    def __init__(self, network: Network, *arguments):
        self.network = network
        super().__init__(*arguments)

    def command(self, *arguments) -> list:
        return self.network.on(CLIENTS, super().command(*arguments))


def main() -> int:
    options = parse()
    print(f'seed {options.seed}', flush=True)
    chance = random.Random(options.seed)
    names = [options.only] if options.only else list(FAULTS)
    plan = []
    while len(plan) < options.rounds:
        plan += chance.sample(names, len(names))
    # Who gives the run up is told where everything is, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        network = Network(list(range(1, options.nodes + 1)))
    except NotPermitted as why:
        print(f'skipped: no network namespaces here: {why}')
        return SKIPPED
    directory = pathlib.Path(tempfile.mkdtemp(prefix='ottla-cluster-'))
    failed = True
    try:
        failed = run(options, plan[:options.rounds], chance, network, directory)
    except (Exception, KeyboardInterrupt):
        traceback.print_exc(file=sys.stdout)
    finally:
        network.discard()
    if failed or options.keep:
        print(f'data, logs and history are in {directory}; again with --seed {options.seed}')
    else:
        shutil.rmtree(directory)
    return int(failed)


def run(options, plan: list[str], chance: random.Random, network: Network, directory: pathlib.Path) -> bool:
    with contextlib.ExitStack() as stack:
        cluster = Cluster(options.broker, options.nodes, directory, network)
        stack.callback(cluster.discard)
        cluster.start()
        load = []
        client = Client(cluster, lambda text: [judge.note(text) for judge in load])
        stack.callback(client.discard)
        client.wait_until('that every node is there', lambda: client.try_ask('brokers') == options.nodes)
        client.wait_until('the topic', lambda: client.try_ask('create'))
        client.wait_until_whole()
        arguments = ['--rate', '100000'] if options.full_load else []
        judge = CheckerOnHost(network, cluster.bootstrap, directory / 'history.tsv', options.seed, *arguments)
        load.append(judge)
        stack.callback(judge.discard)
        judge.wait_for_acknowledgements(100)
        # At full load a producer of librdkafka has requests on their way all the time.
        at_once = options.at_once or (100 if options.full_load else 1)
        client.probe(options.probe, 0 if options.full_load else 5, at_once)
        resumed = collections.defaultdict(list)
        for number, name in enumerate(plan, 1):
            case = Round(cluster, client, chance)
            FAULTS[name](case)
            seconds = client.wait_until_produce_resumes()
            resumed[name].append(seconds)
            said = [f'{name}, partition {case.partition}, resumed after {seconds * 1000:.0f} ms', *case.gone]
            print(f'round {number}: {"; ".join(said)}', flush=True)
            cluster.restore()
            client.wait_until_whole()
            client.pass_time(options.apart)
        cluster.check()
        verdict = judge.verdict()
    table(resumed)
    print(verdict.text.strip())
    for failure in client.failures:
        print(f'a probe failed: {failure}')
    return bool(verdict.anomalies or client.failures)


def table(resumed: dict[str, list[float]]) -> None:
    print(f'{"fault":20}{"rounds":>8}{"p50 ms":>10}{"p99 ms":>10}{"most ms":>10}')
    for name, seconds in resumed.items():
        ordered = sorted(1000 * each for each in seconds)
        nearest = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        print(f'{name:20}{len(ordered):8}{statistics.median(ordered):10.0f}{nearest:10.0f}{ordered[-1]:10.0f}')


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--nodes', type=int, choices=(3, 5), default=3)
    parser.add_argument('--rounds', type=int, default=len(FAULTS))
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--broker', default='ottla', help='ottla, kafka, or a program that takes a server.properties')
    parser.add_argument('--only', choices=FAULTS)
    parser.add_argument('--full-load', action='store_true')
    parser.add_argument('--probe', action='append', default=[], metavar='KEY=VALUE',
                        help="settings of the probe's librdkafka instead of its defaults and those of client.py")
    parser.add_argument('--at-once', type=int, metavar='COUNT',
                        help='records of the probe that are on their way to each partition: 1, or 100 at full load')
    parser.add_argument('--apart', type=float, metavar='SECONDS', default=0,
                        help='how long everything works again between two faults')
    parser.add_argument('--keep', action='store_true', help='data, logs and history, though nothing is wrong')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
