"""Prints what perf counted and sampled, by answer and by group. Called by scripts/profile."""

import collections
import re
import sys

GROUPS = [
    ('context switches', r'^finish_task_switch'),
    ('RocksDB', r'rocksdb|^malloc$|^_int_|^free$|^cfree|operator (new|delete)|std::__'),
    ('allocator', r'\bmi_|^_mi_'),
    ('CRC', r'crc32c|crc_u64'),
    ('tokio', r'tokio'),
    ('store', r'ottla_store'),
    ('broker', r'ottla_broker|ottla_base'),
    ('codec', r'ottla_protocol|kafka_protocol|bytes::'),
    ('machines', r'ottla_(partition|coordinator|controller)'),
    ('memory copies', r'^__mem'),
]


def counts(path):
    found = {}
    for line in open(path):
        match = re.match(r'([\d.]+) +(?:msec )? *([\w:-]+)', line.strip())
        if match:
            name = match[2].removeprefix('syscalls:sys_enter_').removeprefix('profile_ottla:')
            found[name] = float(match[1])
    return found


def per_answer(time, calls):
    answers = time.pop('writev', 0) or 1
    print('By answer (writev):')
    print(f'  {time.pop("task-clock", 0) * 1000 / answers:10.2f} µs of CPU')
    for name, count in time.items():
        print(f'  {count / answers:10.2f} {name}')
    answers = calls.get('writev', 0) or 1
    allocations = sum(calls.pop(name, 0) for name in list(calls) if name.startswith('mi_'))
    print(f'  {allocations / answers:10.2f} allocations')
    print(f'  {sum(calls.values()) / answers:10.2f} system calls')
    for name, count in sorted(calls.items(), key=lambda item: -item[1]):
        if count / answers >= 0.005:
            print(f'  {count / answers:10.2f}   {name}')


def group_of(kind, symbol):
    for group, pattern in GROUPS:
        if re.search(pattern, symbol):
            return group
    return 'kernel: network, files, system calls' if kind == 'k' else 'other'


def shares(path):
    groups, members, threads = collections.Counter(), collections.defaultdict(list), collections.Counter()
    for line in open(path):
        match = re.match(r'\s*([\d.]+)%\s+(\S+)\s+\[(.)\]\s+(.*?)(\s{2,}.*)?$', line)
        if not match:
            continue
        share, group = float(match[1]), group_of(match[3], match[4])
        threads[match[2]] += share
        groups[group] += share
        members[group].append((share, match[4][:60]))
    print('CPU by group, in percent:')
    for group, share in groups.most_common():
        largest = '; '.join(f'{name} {part:.1f}' for part, name in sorted(members[group], reverse=True)[:3])
        print(f'  {share:6.1f} {group} ({largest})')
    print('CPU by thread, in percent:', ', '.join(f'{name} {share:.1f}' for name, share in threads.most_common(6)))


per_answer(counts(sys.argv[1]), counts(sys.argv[2]))
shares(sys.argv[3])
