"""What is done to a cluster. Each fault asks the cluster who leads and who controls,
begins, and yields when only time is to pass; `Round.restore` ends it."""

import concurrent.futures

import network

SLOW_KILOBITS = 2_000
STORM = 6


class Round:
    """What a fault works with; it tells which partition it stops and when."""

    def __init__(self, cluster, client, chance):
        self.cluster = cluster
        self.network = cluster.network
        self.client = client
        self.chance = chance
        partition = chance.choice(client.partitions())
        self.partition = partition['number']
        self.leader = partition['leader']
        self.followers = [node for node in partition['replicas'] if node != self.leader]
        self.replicas = partition['replicas']
        self.gone: list[str] = []

    def controller(self) -> int:
        return self.client.ask('controller')

    def hit(self, what: str) -> None:
        self.client.hit(self.partition, what)

    def kill(self, *numbers: int) -> None:
        """All of them at once."""
        self.cluster.check()
        with concurrent.futures.ThreadPoolExecutor() as threads:
            seconds = threads.map(lambda number: self.cluster.nodes[number].kill(), numbers)
        for number, after in zip(numbers, seconds):
            self.gone.append(f'node {number} gone after {after * 1000:.0f} ms')
            self.client.note(self.gone[-1])


def kill_leader(case: Round) -> None:
    case.hit(f'kill {case.leader}')
    case.kill(case.leader)


def kill_follower(case: Round) -> None:
    victim = case.chance.choice(case.followers)
    case.hit(f'kill {victim}')
    case.kill(victim)


def kill_controller(case: Round) -> None:
    victim = case.controller()
    case.hit(f'kill {victim}')
    case.kill(victim)


def kill_all(case: Round) -> None:
    case.hit('kill all')
    case.kill(*case.cluster.nodes)
    case.cluster.start()


def pause_leader(case: Round) -> None:
    case.hit(f'pause {case.leader}')
    case.cluster.nodes[case.leader].freeze()


def isolate_leader(case: Round) -> None:
    """From the other nodes; its clients still reach it."""
    case.hit(f'isolate {case.leader}')
    for other in case.cluster.others(case.leader):
        case.network.cut(case.leader, other)


def deafen_leader(case: Round) -> None:
    """It speaks to the other nodes and does not hear them."""
    case.hit(f'deafen {case.leader}')
    for other in case.cluster.others(case.leader):
        case.network.cut(other, case.leader, both=False)


def isolate_controller(case: Round) -> None:
    victim = case.controller()
    case.hit(f'isolate {victim}')
    for other in case.cluster.others(victim):
        case.network.cut(victim, other)
    case.network.cut(victim, network.CLIENTS)


def rolling_restart(case: Round) -> None:
    case.hit('rolling restart')
    for node in case.cluster.nodes.values():
        node.stop()
        node.start()
        case.client.wait_until_whole()


def restart_storm(case: Round) -> None:
    case.hit('restart storm')
    for _ in range(STORM):
        victim = case.chance.choice(list(case.cluster.nodes))
        case.kill(victim)
        case.cluster.nodes[victim].start()
        case.client.pass_time(case.chance.uniform(0, 1))


def slow_follower(case: Round) -> None:
    victim = case.chance.choice(case.followers)
    case.hit(f'slow {victim}')
    case.network.slow(victim, SLOW_KILOBITS)
    case.client.pass_time(3)
    case.network.fast_again(victim)


def reassign(case: Round) -> None:
    """Each partition's replicas in another order, and on other nodes where there are
    more nodes than replicas."""
    case.hit('reassign')
    moves = {}
    for partition in case.client.partitions():
        moves[partition['number']] = case.chance.sample(list(case.cluster.nodes), len(partition['replicas']))
    refused = case.client.ask('reassign', moves)
    assert not refused, f'the reassignment was refused: {refused}'
    case.client.wait_until('the reassignment ends', lambda: case.client.try_ask('moving') == 0)


FAULTS = {
    'kill-leader': kill_leader,
    'kill-follower': kill_follower,
    'kill-controller': kill_controller,
    'kill-all': kill_all,
    'pause-leader': pause_leader,
    'isolate-leader': isolate_leader,
    'deafen-leader': deafen_leader,
    'isolate-controller': isolate_controller,
    'rolling-restart': rolling_restart,
    'restart-storm': restart_storm,
    'slow-follower': slow_follower,
    'reassign': reassign,
}
