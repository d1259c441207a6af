//! Rust's `std::process` and `std::env`, as programs use them.

#[path = "rust/case.rs"]
mod case;

use case::{eq, err, eventually, kind, ok, same};
use std::env;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt, parent_id};
use std::process::{self, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

const ENOENT: i32 = 2;
const E2BIG: i32 = 7;
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "--child") {
        return child(&args[2..]);
    }
    case::run(&[
        ("std_command", command),
        ("std_pipes", pipes),
        ("std_status", status),
        ("std_spawn_errors", errors),
        ("std_env", environment),
        ("std_children", children),
    ]);
    ExitCode::SUCCESS
}

/// What this program does as a child of its own.
fn child(args: &[String]) -> ExitCode {
    let mut input = Vec::new();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["exit", code] => return ExitCode::from(code.parse::<u8>().unwrap()),
        ["args", ref rest @ ..] => rest.iter().for_each(|arg| println!("{arg}")),
        ["env"] => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["cwd"] => println!("{}", env::current_dir().unwrap().display()),
        ["arg0"] => println!("{}", env::args().next().unwrap()),
        ["cat"] => {
            std::io::stdin().read_to_end(&mut input).unwrap();
            std::io::stdout().write_all(&input).unwrap();
        }
        ["both"] => {
            println!("to stdout");
            eprintln!("to stderr");
        }
        ["large"] => std::io::stdout().write_all(&vec![b'x'; 1 << 20]).unwrap(),
        ["sleep"] => thread::sleep(Duration::from_secs(100)),
        ["abort"] => process::abort(),
        ["panic"] => {
            std::panic::set_hook(Box::new(|_| {}));
            panic!("on purpose")
        }
        ["parent"] => println!("{}", parent_id()),
        ["group"] => println!("{}", fs::read_to_string("/proc/self/stat").unwrap().split(' ').nth(4).unwrap()),
        ["descriptors"] => {
            let open = fs::read_dir("/proc/self/fd").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut open: Vec<u32> = open.filter_map(|name| name.parse().ok()).collect();
            open.sort();
            // The last is the directory itself.
            println!("{:?}", &open[..open.len() - 1]);
        }
        ["exec"] => {
            let error = Command::new(env::current_exe().unwrap()).args(["--child", "exit", "33"]).exec();
            println!("{error}");
        }
        ["spawn", depth] => {
            let depth: u32 = depth.parse().unwrap();
            if depth > 0 {
                let inner = own(&["spawn", &(depth - 1).to_string()]).output().unwrap();
                print!("{}", String::from_utf8(inner.stdout).unwrap());
            }
            println!("depth {depth}");
        }
        _ => return ExitCode::from(99),
    }
    ExitCode::SUCCESS
}

fn own(args: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg("--child").args(args);
    command
}

fn said(command: &mut Command) -> String {
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn command() {
    eq("arguments", "a\nb c\n\nd\"e\n".to_string(), said(&mut own(&["args", "a", "b c", "", "d\"e"])));
    eq("argument 0", "a-name\n".to_string(), said(own(&["arg0"]).arg0("a-name")));
    fs::create_dir("d").unwrap();
    let here = env::current_dir().unwrap();
    same("another directory", format!("{}\n", here.join("d").display()), said(own(&["cwd"]).current_dir("d")));
    same("which this one is not in", here, env::current_dir().unwrap());
    eq("a clean environment", "".to_string(), said(own(&["env"]).env_clear()));
    eq(
        "variables",
        "A=1\nB=\n".to_string(),
        said(own(&["env"]).env_clear().env("A", "1").env("B", "").env("C", "3").env_remove("C")),
    );
    let both = own(&["both"]).output().unwrap();
    eq("standard output", b"to stdout\n".to_vec(), both.stdout);
    eq("standard error", b"to stderr\n".to_vec(), both.stderr);
    same("the parent", format!("{}\n", process::id()), said(&mut own(&["parent"])));
    let group = own(&["group"]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();
    let id = group.id();
    same("a group of its own", format!("{id}\n"), String::from_utf8(group.wait_with_output().unwrap().stdout).unwrap());
    let _left = File::create("open").unwrap();
    eq("open files are not passed on", "[0, 1, 2]\n".to_string(), said(own(&["descriptors"]).stdin(Stdio::null())));
    own(&["both"]).stdout(File::create("out").unwrap()).stderr(Stdio::null()).status().unwrap();
    eq("into a file", "to stdout\n".to_string(), fs::read_to_string("out").unwrap());
    fs::write("in", "from a file").unwrap();
    eq("from a file", "from a file".to_string(), said(own(&["cat"]).stdin(File::open("in").unwrap())));
    eq("from nowhere", "".to_string(), said(own(&["cat"]).stdin(Stdio::null())));
    eq("replaced", Some(33), own(&["exec"]).status().unwrap().code());
    eq("deep", (0..6).map(|n| format!("depth {n}\n")).collect::<String>(), said(&mut own(&["spawn", "5"])));
    let mut hooked = own(&["cat"]);
    // SAFETY: the closure makes no system call and takes no lock.
    unsafe { hooked.pre_exec(|| Err(std::io::Error::from_raw_os_error(EACCES))) };
    err("an error before exec is the caller's", EACCES, hooked.spawn());
}

fn pipes() {
    let mut cat = own(&["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = cat.stdin.take().unwrap();
    let text: Vec<u8> = (0..300_000u32).map(|n| (n % 250) as u8).collect();
    let writer = thread::spawn({
        let text = text.clone();
        move || input.write_all(&text).is_ok()
    });
    let output = cat.wait_with_output().unwrap();
    eq("written", true, writer.join().unwrap());
    eq("through and back", true, output.stdout == text);
    eq("1 MiB", 1 << 20, own(&["large"]).output().unwrap().stdout.len());
    let mut first = own(&["large"]).stdout(Stdio::piped()).spawn().unwrap();
    let second = own(&["cat"]).stdin(first.stdout.take().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
    eq("one into the other", 1 << 20, second.wait_with_output().unwrap().stdout.len());
    eq("the first", Some(0), first.wait().unwrap().code());
    let mut gone = own(&["exit", "0"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = gone.stdin.take().unwrap();
    gone.wait().unwrap();
    kind("write to one that is gone", ErrorKind::BrokenPipe, input.write(b"x"));
    let mut unread = own(&["large"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(unread.stdout.take());
    eq("nobody reads", false, unread.wait().unwrap().success());
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut writing = own(&["both"]).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    let mut both = String::new();
    ok("a pipe of one's own", reader.read_to_string(&mut both));
    eq("both in order", "to stdout\nto stderr\n".to_string(), both);
    eq("and its end", Some(0), writing.wait().unwrap().code());
}

fn status() {
    for code in [0, 1, 2, 77, 127, 128, 255] {
        let status = own(&["exit", &code.to_string()]).status().unwrap();
        eq(format!("exit {code}"), (Some(code), None, code == 0), (status.code(), status.signal(), status.success()));
        eq(format!("raw, {code}"), code << 8, status.into_raw());
    }
    eq("a panic", Some(101), own(&["panic"]).status().unwrap().code());
    let aborted = own(&["abort"]).status().unwrap();
    eq("abort", (None, Some(SIGABRT)), (aborted.code(), aborted.signal()));
    let mut sleeper = own(&["sleep"]).spawn().unwrap();
    eq("not yet", true, sleeper.try_wait().unwrap().is_none());
    ok("kill", sleeper.kill());
    eq("killed", Some(SIGKILL), sleeper.wait().unwrap().signal());
    eq("asked again", Some(SIGKILL), sleeper.wait().unwrap().signal());
    ok("kill the dead, which is waited for", sleeper.kill());
    let mut quick = own(&["exit", "5"]).spawn().unwrap();
    eq("in time", true, eventually(|| quick.try_wait().unwrap().is_some()));
    eq("its code", Some(5), quick.try_wait().unwrap().and_then(|s| s.code()));
}

fn errors() {
    err("no such program", ENOENT, Command::new("./none").spawn());
    err("nor on the path", ENOENT, Command::new("no-such-program-anywhere").spawn());
    fs::write("plain", "text").unwrap();
    err("not executable", EACCES, Command::new("./plain").spawn());
    err("a directory", EACCES, Command::new("/").spawn());
    fs::set_permissions("plain", Permissions::from_mode(0o755)).unwrap();
    err("no format", ENOEXEC, Command::new("./plain").spawn());
    fs::write("script", "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions("script", Permissions::from_mode(0o755)).unwrap();
    err("no interpreter", ENOENT, Command::new("./script").spawn());
    err("no such directory", ENOENT, own(&["cwd"]).current_dir("none").spawn());
    kind("a zero in an argument", ErrorKind::InvalidInput, own(&["a\0b"]).spawn());
    err("too much", E2BIG, own(&["args", &"x".repeat(200_000)]).spawn());
    err("a group of nobody", EINVAL, own(&["cwd"]).process_group(-5).spawn());
    eq("and still well", Some(0), own(&["exit", "0"]).status().unwrap().code());
}

fn environment() {
    eq("none", None, env::var("NO_SUCH_VARIABLE").ok());
    // SAFETY: no other thread is there.
    unsafe { env::set_var("OWN", "value") };
    eq("set", Some("value".to_string()), env::var("OWN").ok());
    eq("passed on", true, said(&mut own(&["env"])).lines().any(|line| line == "OWN=value"));
    // SAFETY: as above.
    unsafe { env::remove_var("OWN") };
    eq("removed", false, said(&mut own(&["env"])).lines().any(|line| line.starts_with("OWN=")));
    eq(
        "this program",
        Some("std_process"),
        env::current_exe().unwrap().file_name().and_then(|n| n.to_str()?.split('-').next()),
    );
    let paths: Vec<_> = env::split_paths("/a:/b::/c").collect();
    eq("paths", 4, paths.len());
    eq("the directory for temporary files", true, env::temp_dir().is_dir());
    eq("an id", true, fs::exists(format!("/proc/{}", process::id())).unwrap());
}

fn children() {
    let all: Vec<_> = (0..20).map(|n| (n, own(&["exit", &n.to_string()]).spawn().unwrap())).collect();
    let right = all.into_iter().rev().filter(|(n, _)| *n < 20);
    eq("twenty at once", 20, right.filter_map(|(n, mut c)| Some(c.wait().ok()?.code()? == n)).filter(|same| *same).count());
    let workers: Vec<_> = (0..4)
        .map(|t| {
            thread::spawn(move || {
                (0..10).filter(|n| said(&mut own(&["args", &format!("{t}-{n}")])) == format!("{t}-{n}\n")).count()
            })
        })
        .collect();
    eq("from four threads", 40, workers.into_iter().map(|w| w.join().unwrap()).sum::<usize>());
    let mut sleepers: Vec<_> = (0..5).map(|_| own(&["sleep"]).spawn().unwrap()).collect();
    sleepers.iter_mut().for_each(|s| s.kill().unwrap());
    eq("all killed", vec![Some(SIGKILL); 5], sleepers.iter_mut().map(|s| s.wait().unwrap().signal()).collect::<Vec<_>>());
}
