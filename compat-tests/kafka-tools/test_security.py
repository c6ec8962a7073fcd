"""kafka-acls and kafka-delegation-tokens on brokers that have no authorizer."""


def test_list_acls(tools):
    assert 'SecurityDisabledException' in tools('kafka-acls', '--list', status=1).output


def test_add_acls(tools, topic):
    printed = tools('kafka-acls', '--add', '--allow-principal', 'User:ann', '--operation', 'Read', '--topic', topic,
                    '--force', status=1)
    assert 'SecurityDisabledException' in printed.output


def test_delegation_tokens(tools, tmp_path):
    settings = tmp_path / 'client.properties'
    settings.touch()
    for action in [['--create', '--max-life-time-period', '-1'], ['--describe']]:
        printed = tools('kafka-delegation-tokens', *action, '--command-config', settings, status=1)
        assert 'UnsupportedByAuthenticationException' in printed.errors
