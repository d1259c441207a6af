//! `debugging`: what `skiff` offers to those who look for a fault, tried with the tools that they
//! would use.

#![forbid(unsafe_code)]

use compat_tests::lab::{self, Check, Lab, output};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// One thread computes, one sleeps, one waits for another, one has followed a bad pointer.
const CRASH: &str = "
#include <pthread.h>
#include <unistd.h>
static pthread_barrier_t ready;
static double compute(double x) { for (;;) x = x * 1.0000001 + 0.5; return x; }
static void *computer(void *arg) { pthread_barrier_wait(&ready); compute(*(double *)arg); return NULL; }
static void *sleeper(void *arg) { pthread_barrier_wait(&ready); pause(); return arg; }
static void *crasher(void *arg) {
  pthread_barrier_wait(&ready);
  usleep(50000);
  *(volatile int *)arg = 1; // the fault
  return NULL;
}
int main(void) {
  pthread_t a, b, c;
  double one = 1.5;
  pthread_barrier_init(&ready, NULL, 4);
  pthread_create(&a, NULL, computer, &one);
  pthread_create(&b, NULL, sleeper, NULL);
  pthread_create(&c, NULL, crasher, (void *)0x10);
  pthread_barrier_wait(&ready);
  pthread_join(a, NULL); // main waits here
}
";

const CHECKS: &[Check] = &[
    ("gdb opens a core file of four threads", core_file),
    ("a machine that runs gives a core file and figures, and goes on", living),
    ("a profile names functions of program and kernel", profile),
    ("a trace is strace's", trace),
    ("gdb stops in a program, and knows lines and threads", debugger),
    ("the kernel's pages are written or run, never both", pages),
    ("gdb stops in a worker of nginx", debugger_in_nginx),
];

/// Waits in a function of its own until there is input.
const WAITER: &str = "
#include <stdio.h>
#include <unistd.h>
static int wait_for_input(int *state) { char c; *state = 42; return read(0, &c, 1); }
int main(void) {
  int state = 0;
  puts(\"ready\");
  fflush(stdout);
  return wait_for_input(&state) == 1 ? 7 : 8;
}
";

/// Computes in one function, and makes system calls in another.
const WORKER: &str = "
#include <fcntl.h>
#include <unistd.h>
__attribute__((noinline)) static double compute(double x) { for (int i = 0; i < 3000000; i++) x = x * 1.000001 + 0.5; return x; }
__attribute__((noinline)) static int transfer(void) {
  char page[4096] = {0};
  int fd = open(\"/tmp/x\", O_CREAT | O_RDWR, 0600), n = 0;
  for (int i = 0; i < 4000; i++) n += pwrite(fd, page, sizeof page, i % 16 * 4096L) > 0;
  return n;
}
int main(void) { double x = 0; int n = 0; for (int i = 0; i < 10; i++) { x = compute(x); n += transfer(); } return n == 0 || x < 0; }
";

fn main() -> ExitCode {
    lab::run("debugging", CHECKS)
}

/// With all that a debugger may ask for.
fn compile(lab: &Lab, name: &str, source: &str) -> Result<PathBuf, String> {
    lab.compile(name, source, &["-g", "-O0", "-pthread"])
}

fn gdb(program: &Path, core: &Path, commands: &[&str]) -> Result<String, String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch"]).args(commands.iter().flat_map(|c| ["-ex", c])).arg(program).arg(core);
    let done = output(gdb.stdin(Stdio::null()))?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
}

/// All of `wanted` are in `text`.
fn contains(text: &str, wanted: &[&str]) -> Result<(), String> {
    match wanted.iter().find(|part| !text.contains(*part)) {
        Some(part) => Err(format!("no {part:?} in\n{text}")),
        None => Ok(()),
    }
}

fn line_of(marker: &str) -> String {
    let before = CRASH.split(marker).next().unwrap_or_default();
    format!("crash.c:{}", before.lines().count())
}

fn core_file(lab: &Lab) -> Result<(), String> {
    let program = compile(lab, "crash", CRASH)?;
    let core = lab.dir.join("crash.core");
    let _ = std::fs::remove_file(&core);
    let option = format!("--core={}", core.display());
    let done = output(&mut lab.skiff(&["run", &program.to_string_lossy(), &option, "--cpus", "2", "--timeout", "60"]))?;
    if done.status.code() != Some(139) {
        return Err(format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr)));
    }
    let text = gdb(
        &program,
        &core,
        &["info threads", "thread apply all bt", "p $_siginfo._sifields._sigfault.si_addr", "p $xmm0"],
    )?;
    let (fault, wait) = (line_of("// the fault"), line_of("// main waits"));
    contains(&text, &["signal SIGSEGV", "(LWP 4)", "compute (x=", "in sleeper (", &fault, "(void *) 0x10", "v4_float"])?;
    // The waiter is in the C library, called from its own line.
    let main = text.split("\n\n").find(|thread| thread.contains("(LWP 1)") && thread.contains("main ()"));
    contains(main.unwrap_or_default(), &[&wait]).map_err(|e| format!("{e}\n{text}"))
}

fn living(lab: &Lab) -> Result<(), String> {
    let program = compile(lab, "waiter", WAITER)?;
    let core = lab.dir.join("waiter.core");
    let _ = std::fs::remove_file(&core);
    let mut command = lab.skiff(&["run", &program.to_string_lossy(), "--timeout", "60", "--metrics", "0"]);
    command.env("XDG_RUNTIME_DIR", &lab.dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut machine = command.spawn().map_err(|e| e.to_string())?;
    let result = ask(lab, &mut machine, &core);
    // Its input: the program ends by itself.
    drop(machine.stdin.take().map(|mut input| std::io::Write::write_all(&mut input, b"x")));
    let ended = machine.wait_with_output().map_err(|e| e.to_string())?;
    result?;
    if ended.status.code() != Some(7) {
        return Err(format!("afterwards: {}", ended.status));
    }
    let text = gdb(&program, &core, &["bt", "up-silently", "p *state"])?;
    contains(&text, &["wait_for_input (state=", "main () at", "= 42"])
}

/// What others can ask of a machine that runs.
fn ask(lab: &Lab, machine: &mut std::process::Child, core: &Path) -> Result<(), String> {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut line = String::new();
    let mut stdout = BufReader::new(machine.stdout.as_mut().ok_or("no output")?);
    stdout.read_line(&mut line).map_err(|e| e.to_string())?;
    let mut stderr = BufReader::new(machine.stderr.as_mut().ok_or("no errors")?).lines().map_while(Result::ok);
    let said = stderr.find(|line| line.contains("metrics at http://")).ok_or("no metrics")?;
    let address = said.rsplit("http://").next().unwrap_or_default().trim_end_matches("/metrics");
    let id = machine.id().to_string();
    let run = |arguments: &[&str]| {
        let done = output(lab.skiff(arguments).env("XDG_RUNTIME_DIR", &lab.dir))?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        if done.status.success() { Ok(text) } else { Err(format!("{arguments:?}: {}: {text}", done.status)) }
    };
    run(&["core", &id, "-o", &core.to_string_lossy()])?;
    // What is not there is told at once.
    let refused = |arguments: &[&str]| run(arguments).err().ok_or("a core file of nothing".to_owned());
    contains(&refused(&["core", &id, "--pid", "77"])?, &["the machine has no process 77"])?;
    contains(&refused(&["core", "no-such-machine"])?, &["no machine no-such-machine runs"])?;
    contains(&run(&["top", &id, "-n", "1", "-i", "0.2"])?, &["waiter", " calls/s", "MiB"])?;
    let mut http = std::net::TcpStream::connect(address).map_err(|e| e.to_string())?;
    http.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").map_err(|e| e.to_string())?;
    let mut text = String::new();
    http.read_to_string(&mut text).map_err(|e| e.to_string())?;
    contains(
        &text,
        &["HTTP/1.1 200", "skiff_process_threads{pid=\"1\",name=\"waiter\"} 1", "skiff_syscalls_total{call=\"write\""],
    )
}

fn profile(lab: &Lab) -> Result<(), String> {
    let program = compile(lab, "worker", WORKER)?;
    let graph = lab.dir.join("worker.folded");
    let (program, file) = (program.to_string_lossy().into_owned(), graph.to_string_lossy().into_owned());
    let done = output(&mut lab.skiff(&["profile", &program, "-o", &file, "--timeout", "60", "--frequency", "999"]))?;
    if !done.status.success() {
        return Err(format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr)));
    }
    let text = std::fs::read_to_string(&graph).map_err(|e| e.to_string())?;
    contains(&text, &[";main;compute ", ";main;transfer;", "syscall_handler_[k]"])
}

/// One thread sleeps in the C library while the other is stopped in a function.
const DEBUGGED: &str = "
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static int compute(int x) {
  int y = x * 2;
  return y + 1;
}
static void *sleeper(void *arg) { pause(); return arg; }
int main(void) {
  pthread_t a;
  pthread_create(&a, NULL, sleeper, NULL);
  usleep(100000);
  printf(\"%d\\n\", compute(20));
  return 0;
}
";

/// What gdb and the program print.
fn debug(lab: &Lab, arguments: &[&str], commands: &[&str]) -> Result<String, String> {
    let mut command = lab.skiff(&["gdb", "--batch", "--timeout", "100"]);
    command.args(arguments).args(commands.iter().flat_map(|c| ["--ex", c]));
    let done = output(&mut command)?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr))
}

fn debugger(lab: &Lab) -> Result<(), String> {
    let program = compile(lab, "debugged", DEBUGGED)?;
    let commands = ["break compute", "continue", "next", "print y", "info threads", "skiff tasks", "skiff bt", "continue"];
    let text = debug(lab, &[&program.to_string_lossy()], &commands)?;
    let wanted = ["Breakpoint 1, compute (x=20) at ", "debugged.c:6", "$1 = 40", "CPU#0", "main () at ", "\n41\n"];
    contains(&text, &wanted)?;
    // The list of tasks, and both stacks: one is in the kernel for the C library.
    contains(
        &text,
        &["running    debugged", "asleep     debugged", "in sleeper (arg=0x0)", "kernel  0xffffffff8", "sched::switch"],
    )
}

fn debugger_in_nginx(lab: &Lab) -> Result<(), String> {
    use std::io::Write;
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|e| e.to_string())?;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let enough = asked.clone();
    // Asks until it is stopped: the machine does not listen yet.
    let client = std::thread::spawn(move || {
        while !enough.load(std::sync::atomic::Ordering::Relaxed) {
            if let Ok(mut http) = std::net::TcpStream::connect(address) {
                let _ = http.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                std::thread::sleep(std::time::Duration::from_millis(300));
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    let published = format!("{}:80", address.port());
    let commands = ["break ngx_http_process_request", "continue", "bt", "skiff tasks"];
    let text = debug(lab, &["nginx", "--publish", &published], &commands);
    asked.store(true, std::sync::atomic::Ordering::Relaxed);
    let _ = client.join();
    let text = text?;
    contains(&text, &["Breakpoint 1, 0x", "in ngx_process_events_and_timers ()", "in ngx_master_process_cycle ()"])?;
    // The master too, whatever it does just now.
    contains(&text, &["running    nginx", "      1       1 "])
}

/// Calls of many kinds, signals, a child that is killed, a thread.
const TRACED: &str = "
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void handler(int signal) { (void)signal; }
static void *thread(void *arg) { usleep(30000); return arg; }
int main(int argc, char **argv) {
  int p[2], s[2], status, go[2];
  char bytes[100] = {0}, path[] = \"/tmp/skiff-traced\";
  struct stat st;
  struct timespec ms = {0, 20000000};
  struct rlimit limit;
  struct iovec iov[2] = {{\"abc\", 3}, {\"de\\n\\377\", 4}};
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  write(fd, \"some \\\"text\\\"\\n\", 12);
  writev(fd, iov, 2);
  lseek(fd, -5, SEEK_END);
  read(fd, bytes, sizeof bytes);
  pread(fd, bytes, 4, 2);
  fstat(fd, &st);
  ftruncate(fd, 3);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_GETFL);
  fcntl(fd, F_DUPFD_CLOEXEC, 30);
  open(\"/no/such/file\", O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  access(path, R_OK | W_OK);
  rename(path, \"/tmp/skiff-traced2\");
  unlink(\"/tmp/skiff-traced2\");
  close(77);
  pipe2(p, O_NONBLOCK);
  read(p[0], bytes, 10);
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  send(s[0], \"hello\", 5, MSG_NOSIGNAL);
  recv(s[1], bytes, 100, MSG_DONTWAIT);
  struct sockaddr_un name = {AF_UNIX, \"/tmp/skiff-nobody\"};
  connect(s[0], (void *)&name, sizeof name);
  struct pollfd ready = {p[0], POLLIN | POLLPRI, 0};
  poll(&ready, 1, 5);
  int e = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {EPOLLIN | EPOLLET, {.u32 = 7}};
  epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event);
  epoll_wait(e, &event, 1, 0);
  void *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(map, 4096, PROT_READ);
  madvise(map, 8192, MADV_DONTNEED);
  munmap(map, 8192);
  limit.rlim_cur = limit.rlim_max = 0;
  setrlimit(RLIMIT_CORE, &limit);
  getrlimit(RLIMIT_CORE, &limit);
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  kill(getpid(), SIGWINCH);
  nanosleep(&ms, NULL);
  pipe(go);
  pid_t child = fork();
  if (child == 0) {
    read(go[0], bytes, 1);
    close(go[0]);
    nanosleep(&ms, NULL);
    *(volatile int *)16 = 1;
  }
  write(go[1], \"x\", 1);
  waitpid(child, &status, 0);
  pthread_t t;
  pthread_create(&t, NULL, thread, NULL);
  pthread_join(t, NULL);
  return argc + 40 + (argv == NULL);
}
";

/// A trace by thread, in the order in which these show up, without what differs from run to run.
fn normalised(trace: &str) -> Vec<Vec<String>> {
    let mut threads: Vec<(String, Vec<String>)> = Vec::new();
    for line in
        trace.lines().filter(|line| !line.is_empty() && !line.starts_with("skiff: ") && !line.starts_with("strace: "))
    {
        let (whose, text) = match line.strip_prefix("[pid ").and_then(|rest| rest.split_once("] ")) {
            Some((pid, text)) => (pid.trim().to_owned(), text.to_owned()),
            // strace -o FILE -f: the number alone.
            None => match line.split_once(' ').filter(|(pid, _)| pid.parse::<u32>().is_ok()) {
                Some((pid, text)) => (pid.to_owned(), text.trim_start().to_owned()),
                None => ("1".to_owned(), line.to_owned()),
            },
        };
        let index = threads.iter().position(|(pid, _)| *pid == whose).unwrap_or_else(|| {
            threads.push((whose, Vec::new()));
            threads.len() - 1
        });
        let lines = &mut threads[index].1;
        // What was interrupted by other lines is one line again.
        if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            if let Some(last) = lines.last_mut() {
                *last = last.trim_end_matches("<unfinished ...>").trim_end().to_owned();
                // strace breaks a line before a comma, too.
                let gap = if rest.starts_with(',') { "" } else { " " };
                *last = format!("{last}{gap}{rest}");
            }
        } else {
            lines.push(text);
        }
    }
    threads.into_iter().map(|(_, lines)| lines.iter().map(|line| without_numbers(line)).collect()).collect()
}

/// Addresses, ids and times become letters; columns of blanks one.
fn without_numbers(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut text = words.join(" ").replace(" )", ")").replace("( ", "(");
    let keyed = [
        "si_pid=",
        "si_uid=",
        "si_utime=",
        "si_stime=",
        "st_mtime=",
        "child_tid=",
        "parent_tid=",
        "st_blksize=",
        "tv_nsec=",
    ];
    for key in keyed {
        let mut from = 0;
        while let Some(at) = text[from..].find(key).map(|at| from + at + key.len()) {
            let end = text[at..].find([',', '}', ' ', ']']).map_or(text.len(), |n| at + n);
            text.replace_range(at..end, "N");
            from = at;
        }
    }
    // What the kernel alone knows, or finds beside the arguments.
    if text.starts_with("rt_sigreturn(") {
        return "rt_sigreturn()".into();
    }
    if let Some((call, result)) = text.split_once(" => {").filter(|_| text.starts_with("clone3(")) {
        text = format!("{call}{}", result.split_once('}').map_or("", |(_, rest)| rest));
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].chars().take_while(char::is_ascii_hexdigit).count();
        out.push_str(&rest[..at]);
        out.push_str(if digits >= 5 { "ADDRESS" } else { &rest[at..at + 2 + digits] });
        rest = &rest[at + 2 + digits..];
    }
    out.push_str(rest);
    // Calls whose argument or result is an id.
    let ids = [
        "wait4(",
        "kill(",
        "tgkill(",
        "getpid(",
        "gettid(",
        "set_tid_address(",
        "clone(",
        "clone3(",
        "getrandom(",
        "futex(",
    ];
    if ids.iter().any(|call| out.starts_with(call)) {
        let numbers = |c: char| if c.is_ascii_digit() { 'N' } else { c };
        out = out.chars().map(numbers).collect();
        while out.contains("NN") {
            out = out.replace("NN", "N");
        }
    }
    out
}

fn trace(lab: &Lab) -> Result<(), String> {
    let file = lab.dir.join("traced.c");
    let program = lab.dir.join("traced");
    std::fs::write(&file, TRACED).map_err(|e| e.to_string())?;
    let built = Command::new("gcc").args(["-O1", "-w", "-static", "-pthread", "-o"]).arg(&program).arg(&file).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("gcc traced.c".into());
    }
    let theirs = lab.dir.join("traced.strace");
    // Without descriptors that it may have been given beyond the three.
    let mut strace = Command::new("bash");
    let script = "for fd in {3..30}; do eval \"exec $fd>&-\"; done; exec strace -f -o \"$0\" \"$1\"";
    strace.arg("-c").arg(script).arg(&theirs).arg(&program).stdin(Stdio::null());
    let status = output(&mut strace)?.status.code();
    let done = output(&mut lab.skiff(&["run", &program.to_string_lossy(), "--trace", "--timeout", "60"]))?;
    if (status, done.status.code()) != (Some(41), Some(41)) {
        return Err(format!("status {status:?} under strace, {} on Skiff", done.status));
    }
    let ours = String::from_utf8_lossy(&done.stderr).into_owned();
    contains(&ours, &["wait4(2,  <unfinished ...>\n", "<... wait4 resumed>", "+++ exited with 41 +++\n"])?;
    let theirs = normalised(&std::fs::read_to_string(&theirs).map_err(|e| e.to_string())?);
    let ours = normalised(&ours);
    // From the first call of the program's own; before it, the C library looks at the machine.
    let own = |lines: &[String]| {
        let start = lines.iter().position(|line| line.contains("skiff-traced")).unwrap_or(0);
        lines[start..].to_vec()
    };
    let mut differences = String::new();
    for (n, (a, b)) in theirs.iter().zip(&ours).enumerate() {
        let (a, b) = if n == 0 { (own(a), own(b)) } else { (a.clone(), b.clone()) };
        for (a, b) in a.iter().zip(&b).filter(|(a, b)| a != b) {
            differences += &format!("thread {n}\n  Linux: {a}\n  Skiff: {b}\n");
        }
        if a.len() != b.len() {
            differences += &format!("thread {n}: {} lines on Linux, {} on Skiff\n", a.len(), b.len());
        }
    }
    match differences.is_empty() && theirs.len() == ours.len() {
        true => Ok(()),
        false => Err(format!("{} and {} threads\n{differences}", theirs.len(), ours.len())),
    }
}

/// The page table of a running program, the kernel's half: W^X, the alias of its code, guard pages;
/// CR0.WP, EFER.NXE.
fn pages(lab: &Lab) -> Result<(), String> {
    const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
    const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
    /// Size of a thread's kernel stack.
    const STACK: u64 = 32 << 10;
    const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
    const VSYSCALL_LEN: u64 = 4096;
    let program = compile(lab, "debugged", DEBUGGED)?;
    let commands = ["break compute", "continue", "skiff pages", "print $cr0", "print $efer"];
    let text = debug(lab, &[&program.to_string_lossy()], &commands)?;
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let ranges: Vec<(u64, u64, &str)> = text
        .lines()
        .filter_map(|line| {
            let (range, rights) = line.split_once(' ').filter(|(_, rights)| rights.len() == 3)?;
            let (start, end) = range.split_once('-')?;
            Some((hex(start)?, hex(end)?, rights))
        })
        .collect();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| hex(rest.trim()));
        line.ok_or_else(|| format!("no {name} in\n{text}"))
    };
    let at = |address: u64| ranges.iter().find(|(start, end, _)| (*start..*end).contains(&address)).map_or("---", |r| r.2);
    let mut wrong = Vec::new();
    let mut expect = |what: &str, address: u64, wanted: &str| {
        if at(address) != wanted {
            wrong.push(format!("{what} at {address:#x}: {}, not {wanted}", at(address)));
        }
    };
    let (code, code_end, constants_end) = (value("__text_start ")?, value("__text_end ")?, value("__rodata_end ")?);
    for address in (code..code_end).step_by(4096) {
        expect("code", address, "r-x");
        expect("code by its other name", DIRECT_MAP + (address - KERNEL_BASE), "r--");
    }
    for address in (code_end..constants_end).step_by(4096) {
        expect("constants", address, "r--");
        expect("constants by their other name", DIRECT_MAP + (address - KERNEL_BASE), "r--");
    }
    expect("data", constants_end, "rw-");
    expect("the boot stack's guard", value("boot_stack_guard ")?, "---");
    let stacks: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("stack ").and_then(hex)).collect();
    for top in &stacks {
        expect("a stack", top - 8, "rw-");
        expect("a stack's end", top - STACK, "rw-");
        expect("below a stack", top - STACK - 8, "---");
        expect("above a stack", *top, "---");
    }
    // The page of programs of long ago, whose code is a constant of the kernel's (vsyscall).
    expect("the vsyscall page", VSYSCALL, "r-x");
    wrong.extend(
        ranges.iter().filter(|(.., rights)| *rights == "rwx").map(|(start, end, _)| format!("{start:x}-{end:x} rwx")),
    );
    let executable: u64 =
        ranges.iter().filter(|(.., rights)| rights.ends_with('x')).map(|(start, end, _)| end - start).sum();
    if executable != code_end - code + VSYSCALL_LEN {
        wrong.push(format!(
            "{executable:#x} bytes can be run, the kernel's code has {:#x} and vsyscall {VSYSCALL_LEN:#x}",
            code_end - code
        ));
    }
    if stacks.len() < 2 || ranges.len() < 4 {
        wrong.push(format!("{} stacks and {} ranges found", stacks.len(), ranges.len()));
    }
    if !wrong.is_empty() {
        return Err(format!("{}\n{text}", wrong.join("\n")));
    }
    contains(&text, &["WP", "NXE"])
}
