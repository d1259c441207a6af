"""What gdb must know of Skiff: which files' code is where, and which tasks there are.

`skiff gdb` sources this file, with ROOTS set to the directories that stand for the guest's root.
"""

import os
import re
import struct

import gdb

PAGE = 4096
PT_LOAD = 1
# kernel/observe/src/mmap_events.rs: what skiff_watched is called for.
NEW, MAPPED, COPIED = 0, 1, 2
STATES = {0: "ready", 1: "asleep", 2: "asleep (D)", 4: "stopped", 8: "dead", 16: "asleep (D)"}
# The order of a TrapFrame's words (kernel/arch/src/trap.rs).
FRAME = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi vector error rip cs eflags rsp ss").split()
# What unwinding starts from.
UNWOUND = "rip rsp rbp rbx r12 r13 r14 r15".split()


def kernel_symbol(name):
    text = gdb.execute(f"info address {name}", to_string=True)
    found = re.search(r"0x[0-9a-f]+", text)
    if not found:
        raise gdb.GdbError(f"the kernel has no {name}: {text.strip()}")
    return int(found.group(), 16)


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def words(address, count):
    return struct.unpack(f"<{count}Q", read(address, 8 * count))


def half(address):
    return struct.unpack("<i", read(address, 4))[0]


def whole(value):
    return value & 0xFFFFFFFFFFFFFFFF


class Symbols:
    """Keeps gdb's symbol files those of the address space that is looked at."""

    def __init__(self):
        self.spaces = {}  # root: list of (start, end, path, bias)
        self.loaded = {}  # (path, bias): list of (start, end)
        self.headers = {}

    def host_path(self, path):
        for root in ROOTS + ["/"]:
            place = os.path.join(root, path.lstrip("/"))
            if os.path.isfile(place):
                return place
        return None

    def segments(self, path):
        """(address, offset, size) of what the file has loaded."""
        if path not in self.headers:
            self.headers[path] = []
            try:
                with open(path, "rb") as file:
                    head = file.read(64)
                    if head[:5] == b"\x7fELF\x02":
                        (table,) = struct.unpack_from("<Q", head, 32)
                        size, count = struct.unpack_from("<HH", head, 54)
                        file.seek(table)
                        for _ in range(count):
                            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", file.read(size))
                            if kind == PT_LOAD:
                                self.headers[path].append((address, offset, length))
            except OSError:
                pass
        return self.headers[path]

    def bias(self, path, start, offset):
        for address, at, length in self.segments(path):
            first = at & -PAGE
            if first <= offset < at + length:
                return start - ((address & -PAGE) + offset - first)
        return None

    def watched(self, event, given, path):
        if event == NEW:
            self.spaces[given[0]] = []
        elif event == COPIED:
            self.spaces[given[1]] = list(self.spaces.get(given[0], []))
        elif event == MAPPED:
            root, start, end, offset = given
            space = self.spaces.setdefault(root, [])
            space[:] = [one for one in space if one[1] <= start or one[0] >= end]
            host = self.host_path(path)
            bias = host and self.bias(host, start, offset)
            if bias is not None:
                space.append((start, end, host, bias))
            self.show(root)

    def show(self, root):
        """Loads the symbols of a space, and drops those of others that are in their way."""
        space = self.spaces.get(root)
        if space is None:
            return
        wanted = {}
        for start, end, path, bias in space:
            wanted.setdefault((path, bias), []).append((start, end))
        parts = [part for ranges in wanted.values() for part in ranges]
        for key, ranges in list(self.loaded.items()):
            if key not in wanted and any(a < d and c < b for a, b in ranges for c, d in parts):
                gdb.execute(f"remove-symbol-file -a {ranges[0][0]:#x}", to_string=True)
                del self.loaded[key]
        for (path, bias), ranges in wanted.items():
            if (path, bias) not in self.loaded:
                quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
                gdb.execute(f"add-symbol-file {quoted} -o {bias:#x}", to_string=True)
                print(f"skiff: symbols of {path} at {bias:#x}")
            self.loaded[(path, bias)] = ranges


symbols = Symbols()


class Watched(gdb.Breakpoint):
    """Learns of address spaces and of code in them."""

    def stop(self):
        event, given, count, path, length = (int(gdb.parse_and_eval("$" + name)) for name in ("rdi", "rsi", "rdx", "rcx", "r8"))
        name = read(whole(path), length).decode("utf-8", "surrogateescape") if length else ""
        try:
            symbols.watched(event, words(whole(given), count), name)
        except gdb.error as error:
            print(f"skiff: {name}: {error}")
        return False


def this_space():
    return whole(int(gdb.parse_and_eval("$cr3"))) & -PAGE


def stopped(_):
    try:
        symbols.show(this_space())
    except (gdb.error, ValueError):
        pass


class Task:
    def __init__(self, layout, task, stack_top, comm):
        (_, _, tid, process, state, on_cpu, cpu, saved, pid, space, root) = layout
        self.tid = half(task + tid)
        self.stack_top = stack_top
        self.comm = read(comm, 16).split(b"\0")[0].decode("utf-8", "replace")
        (process,) = words(task + process, 1)
        self.pid = half(process + pid)
        (space,) = words(process + space, 1)
        (self.root,) = words(space + root, 1)
        self.running = read(task + on_cpu, 1) != b"\0"
        self.cpu = half(task + cpu)
        self.state = "running" if self.running else STATES.get(half(task + state), "?")
        (self.saved,) = words(task + saved, 1)

    def frame(self):
        """The application's registers, as of its last entry into the kernel."""
        return dict(zip(FRAME, words(self.stack_top - 8 * len(FRAME), len(FRAME))))


def tasks():
    layout = words(kernel_symbol("skiff_task_layout"), 11)
    (table,) = words(kernel_symbol("skiff_tasks"), 1)
    found = []
    if table:
        (used,) = words(kernel_symbol("skiff_tasks_used"), 1)
        if used > layout[0]:
            print(f"skiff: more than {layout[0]} tasks: some are not listed")
        each = layout[1] // 8
        slots = words(table, min(used, layout[0]) * each)
        for task, stack_top, comm in zip(slots[0::each], slots[1::each], slots[2::each]):
            if task:
                found.append(Task(layout, task, stack_top, comm))
    return sorted(found, key=lambda task: task.tid)


def cpu_thread(cpu):
    # QEMU shows CPU 0 as thread 1.
    for thread in gdb.selected_inferior().threads():
        if thread.num == cpu + 1:
            return thread
    return gdb.selected_thread()


def place(address):
    """An address as backtraces show it."""
    name = gdb.execute(f"info symbol {address:#x}", to_string=True).strip()
    name = "??" if name.startswith("No symbol") else re.sub(r"::h[0-9a-f]{16}\b| in section .*", "", name)
    line = gdb.find_pc_line(address)
    where = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
    return f"{address:#018x} in {name}{where}"


def is_kernel(address):
    return address >> 47 != 0


def kernel_stack(rip, rbp, bottom, top):
    """Return addresses in the kernel, by frame pointers."""
    addresses = [rip]
    while bottom <= rbp < top - 16 and len(addresses) < 64:
        below, back = words(rbp, 2)
        if not is_kernel(back):
            break
        addresses.append(back)
        if below <= rbp:
            break
        rbp = below
    return addresses


class Borrowed:
    """The selected CPU with other registers, for as long as it lasts."""

    def __init__(self, given):
        self.given = given

    def __enter__(self):
        self.kept = {name: self.value(name) for name in self.given}
        self.set(self.given)

    def __exit__(self, *_):
        self.set(self.kept)

    @staticmethod
    def value(name):
        return whole(int(gdb.parse_and_eval(f"(long)${name}" if name in UNWOUND else f"${name}")))

    @staticmethod
    def set(values):
        for name, value in values.items():
            # CR3's type is a set of flags, which numbers cannot be assigned to.
            kind = gdb.parse_and_eval(f"${name}").type
            gdb.set_convenience_variable("_skiff", gdb.Value(struct.pack("<Q", value), kind))
            gdb.execute(f"set ${name} = $_skiff", to_string=True)


def c_language(run):
    """Runs with expressions read as C, whatever is debugged."""
    before = gdb.parameter("language")
    gdb.execute("set language c", to_string=True)
    try:
        return run()
    finally:
        gdb.execute(f"set language {before}", to_string=True)


def backtrace(task):
    before = gdb.selected_thread()
    thread = cpu_thread(task.cpu) if task.running else before
    thread.switch()
    try:
        rip, rsp, rbp = (whole(int(gdb.parse_and_eval(f"(long)${name}"))) for name in ("rip", "rsp", "rbp"))
        if task.running and not is_kernel(rip):
            symbols.show(task.root)
            gdb.execute("backtrace")
            return
        bottom = task.stack_top - (64 << 10)
        if not task.running:
            # switch_stacks has pushed r15, r14, r13, r12, rbp, rbx below the return address.
            rbp, rip = words(task.saved + 32, 1) + words(task.saved + 48, 1)
        for address in kernel_stack(rip, rbp, bottom, task.stack_top):
            print(f"kernel  {place(address)}")
        frame = task.frame()
        if frame["rip"] == 0 or is_kernel(frame["rip"]):
            return
        symbols.show(task.root)
        with Borrowed({"cr3": task.root, **{name: frame[name] for name in UNWOUND}}):
            gdb.execute("backtrace")
    finally:
        before.switch()
        symbols.show(this_space())


class SkiffCommand(gdb.Command):
    """What Skiff's kernel knows of its tasks."""

    def __init__(self):
        super().__init__("skiff", gdb.COMMAND_STATUS, prefix=True)


class TasksCommand(gdb.Command):
    """List the threads of all processes: process, thread, CPU, state, name, and where each is in the program.

    gdb's own threads are the machine's CPUs."""

    def __init__(self):
        super().__init__("skiff tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        c_language(self.list)

    def list(self):
        space = this_space()
        print(f"{'pid':>7} {'tid':>7} {'cpu':>3}  {'state':<11}{'name':<16} at")
        for task in tasks():
            rip = task.frame()["rip"]
            if task.running:
                before = gdb.selected_thread()
                cpu_thread(task.cpu).switch()
                now = whole(int(gdb.parse_and_eval("(long)$rip")))
                rip = now if not is_kernel(now) else rip
                before.switch()
            symbols.show(task.root)
            print(f"{task.pid:>7} {task.tid:>7} {task.cpu:>3}  {task.state:<11}{task.comm:<16} {place(rip)}")
        symbols.show(space)


class BacktraceCommand(gdb.Command):
    """Show where a thread is, in the kernel and in the program: skiff bt [TID]; without, every thread."""

    def __init__(self):
        super().__init__("skiff bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        c_language(lambda: self.show(argument.split()))

    def show(self, wanted):
        chosen = [task for task in tasks() if not wanted or str(task.tid) in wanted]
        if not chosen:
            raise gdb.GdbError("no such thread")
        for task in chosen:
            print(f"\nthread {task.tid} of process {task.pid}, {task.comm}, {task.state}")
            try:
                backtrace(task)
            except gdb.error as error:
                print(f"  {error}")


# Start of the map of all memory (kernel/src/mm/direct.rs).
DIRECT_MAP = 0xFFFF888000000000
PRESENT, WRITE, LARGE_PAGE, NO_EXECUTE, ADDRESS = 1, 2, 1 << 7, 1 << 63, 0x000FFFFFFFFFF000


def mapped(table, level=3, virtual=0, rights=WRITE):
    """(start, size, writable, executable) of what a page table maps, by what all its levels allow."""
    for index, entry in enumerate(words(DIRECT_MAP + table, 512)):
        if not entry & PRESENT:
            continue
        size = 1 << 12 + 9 * level
        start = virtual + index * size
        if level == 3 and index >= 256:
            start |= 0xFFFF << 48
        allowed = rights & entry & WRITE | (rights | entry) & NO_EXECUTE
        if level == 0 or entry & LARGE_PAGE:
            yield start, size, bool(allowed & WRITE), not allowed & NO_EXECUTE
        else:
            yield from mapped(entry & ADDRESS, level - 1, start, allowed)


class PagesCommand(gdb.Command):
    """List what the present page table maps of the kernel: start, end, rights; and where each kernel stack is."""

    def __init__(self):
        super().__init__("skiff pages", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        ranges = []
        for start, size, writable, executable in mapped(this_space()):
            rights = f"r{'w' if writable else '-'}{'x' if executable else '-'}"
            if not is_kernel(start):
                continue
            if ranges and ranges[-1][1] == start and ranges[-1][2] == rights:
                ranges[-1][1] = start + size
            else:
                ranges.append([start, start + size, rights])
        for start, end, rights in ranges:
            print(f"{start:016x}-{end:016x} {rights}")
        for name in ("__text_start", "__text_end", "__rodata_end", "boot_stack_guard"):
            print(f"{name} {kernel_symbol(name):016x}")
        for task in tasks():
            print(f"stack {task.stack_top:016x}")


gdb.execute("set breakpoint pending on")
gdb.execute("set confirm off")
# Code that has not been paged in yet is in its file.
gdb.execute("set trust-readonly-sections on")
Watched(f"*{kernel_symbol('skiff_watched'):#x}", internal=True)
gdb.events.stop.connect(stopped)
SkiffCommand()
TasksCommand()
BacktraceCommand()
PagesCommand()
