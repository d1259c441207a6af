"""Processes from Python: subprocess, multiprocessing, concurrent.futures, os, pty, signal."""

import os
import signal
import subprocess
import sys


def square(x):
    return x * x


def main():
    import multiprocessing
    import pty
    from concurrent.futures import ProcessPoolExecutor

    python = sys.executable
    done = subprocess.run([python, "-c", "print('child', 6 * 7)"], capture_output=True, text=True)
    print(done.returncode, done.stdout, end="")
    print(subprocess.run([python, "-c", "import sys; sys.stderr.write(sys.stdin.read()[::-1])"], input=b"abc", stderr=subprocess.PIPE))
    print(subprocess.check_output("echo shell | tr a-z A-Z; exit 0", shell=True))
    print(subprocess.call([python, "-c", "import os; os._exit(9)"]), subprocess.call("kill -9 $$", shell=True))
    try:
        subprocess.run(["/no/such/program"])
    except FileNotFoundError as error:
        print(error)
    try:
        subprocess.run(["sleep", "10"], timeout=0.1)
    except subprocess.TimeoutExpired as error:
        print("timeout", error.cmd)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        print(process.communicate(b"x" * 300000)[0].count(b"x"), os.getsid(0) != process.pid)
    process = subprocess.Popen(["sleep", "10"], preexec_fn=lambda: os.nice(1))
    process.terminate()
    print(process.wait())

    pid = os.fork()
    if pid == 0:
        os._exit(4)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    fd = os.pidfd_open(os.getpid())
    os.close(fd)
    print(os.posix_spawn(python, [python, "-c", "pass"], {}) > 0, os.wait()[1])
    events = []
    signal.signal(signal.SIGCHLD, lambda *_: events.append("child"))
    pid = os.spawnv(os.P_NOWAIT, python, [python, "-c", "pass"])
    os.waitpid(pid, 0)
    print(events)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    print(os.popen("echo popen").read(), end="")

    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool:
            print(method, pool.map(square, range(10)))
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=queue.put, args=({"answer": 42},))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
    value, lock = multiprocessing.Value("i", 0), multiprocessing.Lock()

    def add():
        for _ in range(200):
            with lock:
                value.value += 1

    workers = [multiprocessing.Process(target=add) for _ in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    print(value.value)
    array = multiprocessing.shared_memory.SharedMemory(create=True, size=100) if hasattr(multiprocessing, "shared_memory") else None
    if array:
        array.close()
        array.unlink()
    with ProcessPoolExecutor(2) as executor:
        print(list(executor.map(square, range(5))))

    pid, fd = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", "test -t 0 && echo on a terminal; stty size; read line; echo got $line"])
    output = b""
    while b"0 0" not in output:
        output += os.read(fd, 100)
    os.write(fd, b"typed\n")
    while True:
        try:
            output += os.read(fd, 100)
        except OSError as error:
            print("end", error.errno)
            break
    print(output, os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
