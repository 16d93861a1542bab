#!/usr/bin/env python3
"""Code that no rewriter makes, but that the verifier accepts, on the real run time: it may end its own program, and nothing else.

    hostile.py INGOT

A function of a program is a row of instructions of 5 bytes, which stay as they are when they are rewritten. In the built artifact they are
replaced by others, each of 5 bytes, too, so that the map of instructions still fits; hashes are made right.
"""
import os, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'cli'))
from artifact_file import Image

ingot = os.path.abspath(sys.argv[1])
failed = 0
COUNT = 64
FILLER = b'\x05\x04\x03\x02\x01'  # add eax, 0x01020304
PROGRAM = r'''
#define _GNU_SOURCE
#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static char stack[65536];
static void end(int sig) { _exit(9); }
__asm__(".globl hostile\nhostile: .rept 64\nadd $0x01020304, %eax\n.endr\nret\n");
int main(int argc, char **argv)
{
    unsigned long value = strtoul(argv[1], 0, 0), number = strtoul(argv[2], 0, 0);
    unsigned short control = 0x0340;
    feenableexcept(FE_ALL_EXCEPT);
    __asm__ volatile("fldcw %0" : : "m"(control));
    /* Process 1 ignores what would end another. */
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_handler = end, .sa_flags = SA_ONSTACK};
    sigaltstack(&ss, NULL);
    sigaction(SIGALRM, &sa, NULL);
    alarm(1);
    register unsigned long left __asm__("r8") = value;
    __asm__ volatile("mov %1, %%rdi; mov %1, %%rsi; mov %1, %%rdx; call hostile" : "+r"(left) : "b"(value), "a"(number)
                     : "rdi", "rsi", "rdx", "rcx", "r10", "r11", "memory", "cc");
    return left == value || left == 0 ? 7 : 8;
}
'''
SYSCALL, UNWIND, JUMP, EVALUATE = 0, 5, 10, 15
KEEP = '89c0'                 # mov eax, eax
R10 = '4d89c2' + KEEP         # r10 = the value
RSP = '4d89c3' + KEEP         # the guest's stack pointer is the value


def to(opcode, where):
    return opcode, where


# Blocks: hex, or an opcode with where it leads: an offset in the text, a block 'b0', 'return point', or 'padding': what stands there is PADDING.
CASES = {
    'returns without a call': ['c3' + KEEP * 2],
    'returns with another stack pointer': [RSP, 'c3' + KEEP * 2],
    'evaluates': [R10, to('e9', EVALUATE)],
    'evaluates with another stack pointer': [RSP, R10, to('e9', EVALUATE)],
    'jumps': [R10, to('e9', JUMP)],
    'unwinds': [R10, to('e9', UNWIND)],
    'calls': [R10, to('e8', JUMP), to('e9', 'return point')],
    'calls itself': [to('e8', 'b0'), to('e9', 'return point')],
    'calls itself with flags on the stack between': ['9c415a' + KEEP, to('e8', 'b0'), to('e9', 'return point')],
    'calls and jumps in turns': [to('e8', 'b2'), to('e9', 'return point'), R10, to('e8', JUMP), to('e9', 'return point')],
    'calls the system': [R10, to('e8', SYSCALL)] * 4,
    'calls the system, going down': ['fd' + KEEP * 2, R10, to('e8', SYSCALL)],
    'calls the system with another stack pointer': [RSP, R10, to('e8', SYSCALL)],
    'calls the system in a loop': [R10, to('e8', SYSCALL), to('e9', 'b0')],
    'calls the system with an exception pending': ['d9e8d9ee9b', 'def9' + KEEP + 'f8', R10, to('e8', SYSCALL)],
    'goes on forever': ['ebfe' + KEEP + 'f8'],
    'goes on forever where it cannot be interrupted': [KEEP + 'ebfef8'],
    'goes on forever without x87 stack': ['d9e8d9e89b', to('e9', 'b0')],
}
PADDING = '65670f2802'  # movaps xmm0, gs:[edx]
# These end so: with the exit status for this value and number of a system call.
ENDINGS = {
    'looks at what the system call left in r10': ([R10, to('e8', SYSCALL), '4d89d0' + KEEP], '0x401000', '39', 7),
    'faults where no instruction of the guest is': ([to('e9', 'padding')], '0x401001', '39', 137),
}
VALUES = ['0', '0x1000', '0x401000', '0x40000000', '0x7fffffff', '0xffffffff', '0x100000000', '0x7fffffffffff', '0x8000000000000000', '0xdeadbeefcafebabe']
NUMBERS = ['0', '9', '11', '15', '39', '56', '59', '60', '231', '0xffffffff']  # read, mmap, munmap, rt_sigreturn, getpid, clone, execve, exit, exit_group


def expect(what, condition, shown=''):
    global failed
    print('ok' if condition else 'not ok', what, '' if condition else shown)
    failed += not condition


def call(*args, seconds=240):
    r = subprocess.run([ingot, *args], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, errors='replace')
    return r.returncode, r.stdout + r.stderr


def put(image, blocks):
    text, size, _ = image.elf_section('ingot_direct_text')
    first = image.data.index(FILLER * COUNT, text, text + size)
    back = image.data.index(b'\x49\x81\xfa', text, text + size)
    for i, block in enumerate(blocks):
        at = first + 5 * i
        if isinstance(block, str):
            code = bytes.fromhex(block)
        else:
            opcode, where = block
            if where == 'padding':
                pad = image.data.index(b'\xcc' * 10, text, text + size)
                image.data[pad:pad + 10] = bytes.fromhex(PADDING) + b'\xe9' + struct.pack('<i', first - pad - 10)
            target = pad if where == 'padding' else back if where == 'return point' else first + 5 * int(where[1:]) if isinstance(where, str) else text + where
            code = bytes.fromhex(opcode) + struct.pack('<i', target - at - 5)
        assert len(code) == 5, block
        image.data[at:at + 5] = code
    image.rehash()


def run(path, what, value, number):
    try:
        code, text = call('run', path, '/bin/program', value, number, seconds=60)
    except subprocess.TimeoutExpired: # kills it
        code, text = -1, 'it does not end'
    if code < 0 or code == 125 or 'internal' in text:
        expect(f'{what}, value {value}, number {number}', False, f'{code}: {text}')


def main():
    with tempfile.TemporaryDirectory() as work:
        root, good, bad = work + '/root', work + '/good', work + '/bad'
        os.makedirs(root + '/bin')
        with open(work + '/program.c', 'w') as f:
            f.write(PROGRAM)
        subprocess.run(['cc', '-O1', '-static', '-o', root + '/bin/program', work + '/program.c', '-lm'], check=True)
        code, text = call('build', '-q', '--backend', 'direct', '--cache', work + '/cache', root, '-o', good)
        expect('build', code == 0, text)
        expect('run', call('run', good, '/bin/program', '1', '1')[0] == 7)
        for what, blocks in CASES.items():
            image = Image(good)
            put(image, blocks)
            code, text = call('verify', image.write(bad))
            expect(what + ': accepted', code == 0, text)
            forever = 'itself' in what or 'forever' in what or 'turns' in what or 'loop' in what
            for value in VALUES[:1] if forever else VALUES:
                for number in NUMBERS if what == 'calls the system' else NUMBERS[4:5]:
                    run(bad, what, value, number)
            expect(what, True)
        for what, (blocks, value, number, status) in ENDINGS.items():
            image = Image(good)
            put(image, blocks)
            code, text = call('verify', image.write(bad))
            expect(what + ': accepted', code == 0, text)
            code, text = call('run', bad, '/bin/program', value, number, seconds=60)
            expect(what, code == status, f'{code}: {text}')
    sys.exit(failed != 0)


main()
