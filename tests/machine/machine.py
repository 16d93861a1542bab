"""A machine with a kernel of Debian's (tools/get-kernel.sh), emulated by QEMU, in which a test starts a container: for what the host at hand
does not have, or what must not happen to it. `make check-long` runs such tests, and installs what they need."""
import os, shutil, subprocess, sys, threading


def build(work, vkernel, mkpayload, init, program, source):
    """A file system in memory with busybox, /image, in which the C program is, and /init. Its path."""
    root, machine = work + '/root', work + '/machine'
    for d in (root + '/bin', root + '/etc', root + '/tmp', root + '/v', *(f'{machine}/{d}' for d in ('bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'v'))):
        os.makedirs(d)
    subprocess.run(['cc', '-O1', '-D_GNU_SOURCE', '-static', '-w', '-o', f'{root}/bin/{program}', source], check=True)
    subprocess.run([sys.executable, mkpayload, vkernel, root, machine + '/image'], check=True)
    shutil.copy('/bin/busybox', machine + '/bin/busybox')
    shutil.copy(init, machine + '/init')
    os.chmod(machine + '/init', 0o755)
    with open(machine + '/etc/passwd', 'w') as f:
        f.write('root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n')
    with open(machine + '/etc/group', 'w') as f:
        f.write('root:x:0:\nuser:x:1000:\n')
    names = subprocess.run(['find', '.'], cwd=machine, capture_output=True, check=True).stdout
    with open(work + '/initramfs', 'wb') as f:
        subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet', '-R', '0:0'], cwd=machine, input=names, stdout=f, check=True)
    return work + '/initramfs'


def start(kernel, ramdisk, *more, words='', limit=500):
    """The running emulator, whose standard output is the machine's console. It ends after so many seconds, whatever happens. `words` are added to
    the kernel's command line, `more` to the emulator's."""
    command = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-smp', '2', '-m', '1024', '-nographic', '-no-reboot', '-nic', 'none', *more,
               '-kernel', kernel, '-initrd', ramdisk, '-append', 'console=ttyS0 quiet panic=-1 no_timer_check cgroup_no_v1=all ' + words]
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    end = threading.Timer(limit, p.kill)
    end.daemon = True
    end.start()
    return p
