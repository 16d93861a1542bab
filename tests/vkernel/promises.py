"""The records that killed.c writes, and what it said of them."""
import re

WAYS = ('fsync', 'fdatasync', 'dsync', 'syncfs', 'rwf', 'copied', 'mapped', 'replaced')
RECORD = 64


def record(number):
    text = bytearray(bytes([ord('a') + number % 26]) * RECORD)
    head = b'%010d ' % number
    text[:len(head)] = head
    text[len(head)] = ord('.')
    text[-1] = ord('\n')
    return bytes(text)


def last_of(text):
    """The last record that was promised in each way."""
    last = {}
    for way, number in re.findall(r'^(\w+) (\d+)\r?\n', text, re.M):
        last[way] = max(last.get(way, -1), int(number))
    return last


def missing(volume, last):
    """What is not as it was promised."""
    wrong = []
    for way, number in last.items():
        try:
            with open(f'{volume}/{way}', 'rb') as f:
                data = f.read((number + 1) * RECORD)
        except FileNotFoundError:
            data = b''
        if way == 'replaced':
            # The next one may be there already, whose promise was not printed.
            if data not in (record(number), record(number + 1)):
                wrong.append((way, number, data[:20]))
            continue
        for k in range(number + 1):
            if data[k * RECORD:(k + 1) * RECORD] != record(k):
                wrong.append((way, number, k))
                break
    return wrong
