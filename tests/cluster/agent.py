"""A stock client among the clients' hosts: it asks the cluster who leads and who
controls. It is told what to do by lines of JSON, and answers with such."""

import json
import sys

from kafka import KafkaAdminClient, TopicPartition

TOPIC = 'probe'
PARTITIONS = 3
ASK_MS = 3_000


def say(**fields) -> None:
    sys.stdout.write(json.dumps(fields) + '\n')
    sys.stdout.flush()


class Agent:
    def __init__(self, bootstrap: str):
        self.bootstrap = bootstrap.split(',')

    def ask(self, question):
        """An admin client for one question: after a fault an old one may wait for
        a node that is gone."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=ASK_MS)
        try:
            return question(admin)
        finally:
            admin.close()

    def create(self) -> bool:
        self.ask(lambda admin: admin.create_topics({TOPIC: {'num_partitions': PARTITIONS, 'replication_factor': -1}}))
        return True

    def brokers(self) -> int:
        return len(self.ask(lambda admin: admin.describe_cluster())['brokers'])

    def controller(self) -> int:
        quorum = self.ask(lambda admin: admin.describe_metadata_quorum())
        return quorum['topics'][0]['partitions'][0]['leader_id']

    def partitions(self) -> list:
        topics = self.ask(lambda admin: admin.describe_topics([TOPIC]))
        return [{'number': partition['partition_index'], 'leader': partition['leader_id'],
                 'replicas': partition['replica_nodes'], 'isr': partition['isr_nodes']}
                for partition in sorted(topics[0]['partitions'], key=lambda partition: partition['partition_index'])]

    def reassign(self, assignment: dict) -> list:
        moves = {TopicPartition(TOPIC, int(number)): replicas for number, replicas in assignment.items()}
        answer = self.ask(lambda admin: admin.alter_partition_reassignments(moves))
        return [error.__name__ for error in answer.values() if error]

    def moving(self) -> int:
        return len(self.ask(lambda admin: admin.list_partition_reassignments()))


def main() -> None:
    agent = Agent(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(answer=getattr(agent, request['do'])(*request['with']))
        except Exception as error:  # the harness decides whether to ask again
            say(error=repr(error))


if __name__ == '__main__':
    main()
