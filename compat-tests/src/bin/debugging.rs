//! `debugging`: what `skiff` offers to those who look for a fault, tried with the tools that they would use.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

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

type Check = (&'static str, fn(&Lab) -> Result<(), String>);
const CHECKS: &[Check] = &[
    ("gdb opens a core file of four threads", core_file),
    ("a machine that runs gives a core file and figures, and goes on", living),
    ("a profile names functions of program and kernel", profile),
    ("gdb stops in a program, and knows lines and threads", debugger),
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

struct Lab {
    dir: PathBuf,
    skiff: PathBuf,
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).collect();
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(e) => {
            eprintln!("debugging: {e}");
            return ExitCode::FAILURE;
        }
    };
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut failed = false;
    for (name, check) in CHECKS.iter().filter(|(name, _)| wanted(name)) {
        match check(&lab) {
            Ok(()) => println!("ok   {name}"),
            Err(e) => {
                failed = true;
                println!("FAIL {name}: {e}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

impl Lab {
    fn new() -> Result<Self, String> {
        let dir = mkimage::checkout().ok_or("not in a Skiff checkout")?.join("build/debugging");
        std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let skiff = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("skiff");
        Ok(Self { dir, skiff })
    }

    fn compile(&self, name: &str, source: &str) -> Result<PathBuf, String> {
        let (program, file) = (self.dir.join(name), self.dir.join(format!("{name}.c")));
        std::fs::write(&file, source).map_err(|e| e.to_string())?;
        let done = Command::new("gcc").args(["-g", "-O0", "-pthread", "-o"]).arg(&program).arg(&file).status();
        if done.is_ok_and(|status| status.success()) { Ok(program) } else { Err(format!("gcc {}", file.display())) }
    }

    fn skiff(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.skiff);
        command.args(arguments).current_dir(&self.dir).stdin(Stdio::null());
        command
    }
}

fn output(command: &mut Command) -> Result<Output, String> {
    command.output().map_err(|e| format!("{command:?}: {e}"))
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
    let program = lab.compile("crash", CRASH)?;
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
    let program = lab.compile("waiter", WAITER)?;
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
    let program = lab.compile("worker", WORKER)?;
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
    let program = lab.compile("debugged", DEBUGGED)?;
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
    contains(&text, &["running    nginx", "asleep     nginx", "in sigsuspend"])
}
