//! Rust's `std::fs`, as programs use it.

#[path = "rust/case.rs"]
mod case;

use case::{eq, err, kind, ok, same};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

const ENOENT: i32 = 2;
const EBADF: i32 = 9;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;
const ENAMETOOLONG: i32 = 36;
const ENOTEMPTY: i32 = 39;
const ELOOP: i32 = 40;

fn main() {
    case::run(&[
        ("std_open", open),
        ("std_file", file),
        ("std_at", at),
        ("std_dir", dir),
        ("std_links", links),
        ("std_rename", rename),
        ("std_metadata", metadata),
        ("std_lock", lock),
        ("std_large", large),
    ]);
}

/// Every choice of options that the library lets pass, for a file that is there and for one that is
/// not.
fn open() {
    for bits in 0..64u32 {
        let on = |bit: u32| bits & 1 << bit != 0;
        let mut options = OpenOptions::new();
        options.read(on(0)).write(on(1)).append(on(2)).truncate(on(3)).create(on(4)).create_new(on(5));
        let words = ["read", "write", "append", "truncate", "create", "create_new"];
        let name = words.iter().enumerate().filter(|(n, _)| on(*n as u32)).map(|(_, w)| *w).collect::<Vec<_>>().join("+");
        fs::write("there", "12345").unwrap();
        let _ = fs::remove_file("missing");
        let accessible = on(0) || on(1) || on(2);
        let makes = on(3) || on(4) || on(5);
        if !accessible || makes && !on(1) && !on(2) || on(2) && on(3) && !on(5) {
            continue;
        }
        for path in ["there", "missing"] {
            let want = match path {
                "there" if on(5) => Some(EEXIST),
                "missing" if !on(4) && !on(5) => Some(ENOENT),
                _ => None,
            };
            let name = format!("{path}, {name}");
            match want {
                Some(errno) => err(name, errno, options.open(path)),
                None => drop(ok(name, options.open(path))),
            }
        }
        if !on(5) {
            eq(format!("{name}, length after"), if on(3) { 0 } else { 5 }, fs::metadata("there").unwrap().len());
        }
    }
    err("a directory, to write", EISDIR, OpenOptions::new().write(true).open("."));
    err("below a file", ENOTDIR, File::open("there/x"));
    err("a long name", ENAMETOOLONG, File::open("n".repeat(256)));
    kind("a name with a zero", ErrorKind::InvalidInput, File::open("a\0b"));
    err("no name", ENOENT, File::open(""));
    err("a directory as a file, read", EISDIR, File::open(".").unwrap().read(&mut [0; 4]));
    ok("flags of its own", OpenOptions::new().read(true).custom_flags(0o200000).open("."));
    err("those on a file", ENOTDIR, OpenOptions::new().read(true).custom_flags(0o200000).open("there"));
    ok("a mode", OpenOptions::new().write(true).create(true).mode(0o604).open("moded"));
    eq("which it has", 0o604, fs::metadata("moded").unwrap().permissions().mode() & 0o777);
}

fn file() {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open("f").unwrap();
    eq("write", 11, file.write(b"hello there").unwrap());
    eq("position", 11, file.stream_position().unwrap());
    eq("seek from the end", 6, file.seek(SeekFrom::End(-5)).unwrap());
    let mut text = String::new();
    eq("read to the end", 5, file.read_to_string(&mut text).unwrap());
    eq("what was read", "there", &text[..]);
    eq("read at the end", 0, file.read(&mut [0; 8]).unwrap());
    err("seek before the start", EINVAL, file.seek(SeekFrom::Current(-100)));
    file.rewind().unwrap();
    let mut twin = file.try_clone().unwrap();
    twin.seek(SeekFrom::Start(3)).unwrap();
    eq("a clone shares the position", 3, file.stream_position().unwrap());
    ok("shorten", file.set_len(4));
    eq("then the length", 4, file.metadata().unwrap().len());
    ok("lengthen", file.set_len(100));
    eq("zeroes", vec![0; 96], fs::read("f").unwrap()[4..].to_vec());
    ok("sync_all", file.sync_all());
    ok("sync_data", file.sync_data());
    eq(
        "vectored",
        6,
        file.write_vectored(&[io::IoSlice::new(b"abc"), io::IoSlice::new(b""), io::IoSlice::new(b"def")]).unwrap(),
    );
    file.seek(SeekFrom::Start(3)).unwrap();
    let (mut a, mut b) = ([0; 2], [0; 4]);
    eq("read vectored", 6, file.read_vectored(&mut [io::IoSliceMut::new(&mut a), io::IoSliceMut::new(&mut b)]).unwrap());
    eq("into the first", *b"ab", a);
    eq("into the second", *b"cdef", b);
    err("write what was opened to read", EBADF, File::open("f").unwrap().write(b"x"));
    err("read what was opened to write", EBADF, OpenOptions::new().write(true).open("f").unwrap().read(&mut [0]));
    kind("read exactly more than there is", ErrorKind::UnexpectedEof, File::open("f").unwrap().read_exact(&mut [0; 101]));
    let mut appended = OpenOptions::new().append(true).open("f").unwrap();
    appended.seek(SeekFrom::Start(0)).unwrap();
    appended.write_all(b"end").unwrap();
    eq("append goes to the end", b"end".to_vec(), fs::read("f").unwrap()[100..].to_vec());
    fs::write("bad", [0xff, 0xfe]).unwrap();
    kind("not UTF-8", ErrorKind::InvalidData, fs::read_to_string("bad"));
    fs::remove_file("f").unwrap();
    eq("removed, and open still", 103, file.metadata().unwrap().len());
    eq("with no name", 0, file.metadata().unwrap().nlink());
}

fn at() {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open("f").unwrap();
    eq("write far out", 3, file.write_at(b"far", 1 << 20).unwrap());
    eq("length", (1 << 20) + 3, file.metadata().unwrap().len());
    let mut bytes = [9; 4];
    eq("read the hole", 4, file.read_at(&mut bytes, 1000).unwrap());
    eq("which is zero", [0; 4], bytes);
    eq("read over the end", 3, file.read_at(&mut bytes, 1 << 20).unwrap());
    eq("read behind it", 0, file.read_at(&mut bytes, 1 << 21).unwrap());
    kind("exactly, over the end", ErrorKind::UnexpectedEof, file.read_exact_at(&mut bytes, 1 << 20));
    eq("the position stays", 0, (&file).stream_position().unwrap());
    err("beyond all offsets", EINVAL, file.write_at(b"x", u64::MAX));
    eq("a hole takes no blocks", true, file.metadata().unwrap().blocks() < 100);
}

fn names(path: &str) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn dir() {
    ok("create", fs::create_dir("d"));
    err("create again", EEXIST, fs::create_dir("d"));
    err("below nothing", ENOENT, fs::create_dir("no/d"));
    ok("create all", fs::create_dir_all("d/a/b/c"));
    ok("create all again", fs::create_dir_all("d/a/b/c"));
    fs::write("d/file", "x").unwrap();
    err("create all over a file", ENOTDIR, fs::create_dir_all("d/file/x"));
    err("over a file itself", EEXIST, fs::create_dir_all("d/file"));
    symlink("a", "d/link").unwrap();
    eq("names", vec!["a".to_string(), "file".into(), "link".into()], names("d"));
    for entry in fs::read_dir("d").unwrap().map(Result::unwrap).filter(|e| e.file_name() != "x") {
        let kind = entry.file_type().unwrap();
        let name = entry.file_name().into_string().unwrap();
        let want = match &name[..] {
            "a" => (true, false, false),
            "file" => (false, true, false),
            _ => (false, false, true),
        };
        eq(format!("type of {name}"), want, (kind.is_dir(), kind.is_file(), kind.is_symlink()));
        same(
            format!("number of {name}"),
            fs::symlink_metadata(entry.path()).unwrap().ino(),
            entry.metadata().unwrap().ino().max(1),
        );
    }
    err("remove what is not empty", ENOTEMPTY, fs::remove_dir("d"));
    err("remove a file as a directory", ENOTDIR, fs::remove_dir("d/file"));
    err("remove a directory as a file", EISDIR, fs::remove_file("d/a"));
    err("read a file as a directory", ENOTDIR, fs::read_dir("d/file"));
    err("read what is not there", ENOENT, fs::read_dir("none"));
    for n in 0..200 {
        fs::write(format!("d/a/b/{n}"), "x").unwrap();
    }
    eq("many names", 201, names("d/a/b").len());
    let mut reading = fs::read_dir("d/a/b").unwrap();
    let mut seen = 0;
    while let Some(Ok(entry)) = reading.next() {
        seen += 1;
        if entry.file_type().unwrap().is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    eq("removed while they were read", 201, seen);
    ok("remove all", fs::remove_dir_all("d"));
    eq("then", false, Path::new("d").exists());
    err("remove all of nothing", ENOENT, fs::remove_dir_all("d"));
    ok("a mode", fs::DirBuilder::new().mode(0o700).create("moded"));
    eq("which it has", 0o700, fs::metadata("moded").unwrap().mode() & 0o777);
    fs::create_dir("here").unwrap();
    ok("go there", std::env::set_current_dir("here"));
    eq("am there", "here", std::env::current_dir().unwrap().file_name().unwrap().to_str().unwrap());
    ok("remove where I am", fs::remove_dir("../here"));
    err("where am I", ENOENT, std::env::current_dir());
    err("write there", ENOENT, fs::write("x", "x"));
}

fn links() {
    fs::write("f", "text").unwrap();
    ok("hard link", fs::hard_link("f", "g"));
    eq("links", 2, fs::metadata("g").unwrap().nlink());
    err("to what is there", EEXIST, fs::hard_link("f", "g"));
    ok("symbolic link", symlink("f", "s"));
    eq("read it", "f", fs::read_link("s").unwrap().to_str().unwrap());
    eq("read through it", "text", &fs::read_to_string("s").unwrap()[..]);
    eq("its own length", 1, fs::symlink_metadata("s").unwrap().len());
    err("read a file as a link", EINVAL, fs::read_link("f"));
    symlink("loop-b", "loop-a").unwrap();
    symlink("loop-a", "loop-b").unwrap();
    err("a loop", ELOOP, File::open("loop-a"));
    err("a loop's path", ELOOP, fs::canonicalize("loop-a"));
    eq("a loop has metadata of its own", true, fs::symlink_metadata("loop-a").is_ok());
    symlink("nowhere", "dangling").unwrap();
    err("one that leads nowhere", ENOENT, fs::metadata("dangling"));
    eq("exists", false, Path::new("dangling").exists());
    ok("written through", fs::write("dangling", "x"));
    eq("makes what it names", true, Path::new("nowhere").exists());
    err("create_new does not follow", EEXIST, OpenOptions::new().write(true).create_new(true).open("s"));
    fs::create_dir_all("a/b").unwrap();
    symlink("../../f", "a/b/up").unwrap();
    let here = std::env::current_dir().unwrap();
    same("the real path", here.canonicalize().unwrap().join("f"), fs::canonicalize("a/./b/../b/up").unwrap());
    eq("copy", 4, fs::copy("s", "copy").unwrap());
    eq("a copy is a file", true, fs::symlink_metadata("copy").unwrap().is_file());
    kind("copy a directory", ErrorKind::InvalidInput, fs::copy("a", "copy-a"));
}

fn rename() {
    for name in ["f", "g"] {
        fs::write(name, name).unwrap();
    }
    ok("over a file", fs::rename("f", "g"));
    eq("its contents", "f", &fs::read_to_string("g").unwrap()[..]);
    err("what is gone", ENOENT, fs::rename("f", "g"));
    fs::create_dir_all("d/e").unwrap();
    err("a file over a directory", EISDIR, fs::rename("g", "d"));
    err("a directory over a file", ENOTDIR, fs::rename("d", "g"));
    err("into itself", EINVAL, fs::rename("d", "d/e/f"));
    fs::create_dir("empty").unwrap();
    ok("over an empty directory", fs::rename("d", "empty"));
    eq("with all in it", true, Path::new("empty/e").is_dir());
    fs::create_dir("other").unwrap();
    err("over one that is not empty", ENOTEMPTY, fs::rename("other", "empty"));
    ok("to the same name", fs::rename("g", "g"));
    fs::hard_link("g", "h").unwrap();
    ok("over another name of it", fs::rename("g", "h"));
    eq("both names stay", (true, true), (Path::new("g").exists(), Path::new("h").exists()));
}

fn metadata() {
    fs::write("f", "12345").unwrap();
    for mode in [0o000, 0o400, 0o644, 0o755, 0o4711, 0o1777] {
        ok(format!("set mode {mode:o}"), fs::set_permissions("f", Permissions::from_mode(mode)));
        eq(format!("mode {mode:o}"), mode, fs::metadata("f").unwrap().permissions().mode() & 0o7777);
        eq(format!("mode {mode:o}, read only"), mode & 0o222 == 0, fs::metadata("f").unwrap().permissions().readonly());
    }
    fs::set_permissions("f", Permissions::from_mode(0o644)).unwrap();
    let file = OpenOptions::new().read(true).write(true).open("f").unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    ok("set times", file.set_times(fs::FileTimes::new().set_modified(then).set_accessed(then + Duration::from_secs(1))));
    let meta = file.metadata().unwrap();
    eq("modified", then, meta.modified().unwrap());
    eq("accessed", then + Duration::from_secs(1), meta.accessed().unwrap());
    eq("before 1970", Ok(()), {
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(86400);
        file.set_modified(early).map_err(|e| e.kind()).and_then(|()| {
            if file.metadata().unwrap().modified().unwrap() == early { Ok(()) } else { Err(ErrorKind::Other) }
        })
    });
    (&file).write_all(b"x").unwrap();
    eq("writing makes it new", true, file.metadata().unwrap().modified().unwrap() > then);
    eq("kinds of /dev/null", (true, false), {
        let kind = fs::metadata("/dev/null").unwrap().file_type();
        (kind.is_char_device(), kind.is_fifo())
    });
    same("same file", (meta.dev(), meta.ino()), fs::metadata("./f").map(|m| (m.dev(), m.ino())).unwrap());
    err("below a file", ENOTDIR, fs::metadata("f/x"));
    eq("try_exists", Some(false), fs::exists("none").ok());
}

fn lock() {
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open("f").unwrap();
    let (a, b) = (open(), open());
    let held = |result: Result<(), TryLockError>| match result {
        Ok(()) => "free",
        Err(TryLockError::WouldBlock) => "held",
        Err(TryLockError::Error(_)) => "error",
    };
    ok("lock", a.lock());
    eq("the other", "held", held(b.try_lock()));
    eq("the other, shared", "held", held(b.try_lock_shared()));
    eq("a clone has it too", "free", held(a.try_clone().unwrap().try_lock()));
    ok("unlock", a.unlock());
    ok("shared", a.lock_shared());
    eq("the other, shared too", "free", held(b.try_lock_shared()));
    eq("nobody alone", "held", held(a.try_lock()));
    drop(a);
    eq("closed is unlocked", "free", held(b.try_lock()));
    let waiter = std::thread::spawn(move || open().lock().is_ok());
    std::thread::sleep(Duration::from_millis(20));
    eq("one waits", false, waiter.is_finished());
    drop(b);
    eq("until it is free", true, waiter.join().unwrap());
}

fn large() {
    let mut writer = BufWriter::new(File::create("lines").unwrap());
    for n in 0..50_000 {
        writeln!(writer, "line {n}").unwrap();
    }
    ok("flush", writer.flush());
    let lines: Vec<String> = BufReader::new(File::open("lines").unwrap()).lines().map(Result::unwrap).collect();
    eq("lines", 50_000, lines.len());
    eq("each right", true, lines.iter().enumerate().all(|(n, line)| *line == format!("line {n}")));
    eq("copied", fs::metadata("lines").unwrap().len(), fs::copy("lines", "copy").unwrap());
    eq("the same", true, fs::read("lines").unwrap() == fs::read("copy").unwrap());
    let mut chained = String::new();
    let both = File::open("lines").unwrap().take(10).chain(File::open("copy").unwrap().take(6));
    eq("chained", 16, BufReader::new(both).read_to_string(&mut chained).unwrap());
    eq("their text", "line 0\nlinline 0", &chained[..]);
    eq("io::copy", 538_890, io::copy(&mut File::open("copy").unwrap(), &mut File::create("third").unwrap()).unwrap());
}
