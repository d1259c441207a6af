//! The calls, and how they are drawn.

/// A small generator with a fixed sequence per seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

#[derive(Clone, Debug)]
pub enum Op {
    Open { path: String, flags: i32, mode: u32 },
    OpenHow { path: String, flags: i32, mode: u32, resolve: u64 },
    Mkdir { path: String, mode: u32 },
    Mkfifo { path: String, mode: u32 },
    Mknod { path: String, mode: u32, dev: u64 },
    Rmdir { path: String },
    Unlink { path: String },
    Rename { old: String, new: String, flags: u32 },
    Link { old: String, new: String, follow: bool },
    Symlink { target: String, path: String },
    Readlink { path: String },
    Chmod { path: String, mode: u32 },
    Chown { path: String, uid: u32, gid: u32, follow: bool },
    Truncate { path: String, size: i64 },
    Access { path: String, mask: i32 },
    Stat { path: String, follow: bool },
    Utimens { path: String, atime: i64, mtime: i64 },
    List { path: String },
    Write { path: String, offset: i64, len: usize, append: bool },
    SetXattr { path: String, name: String, flags: i32 },
    GetXattr { path: String, name: String },
    RemoveXattr { path: String, name: String },
    ListXattr { path: String },
    Fallocate { path: String, mode: i32, offset: i64, len: i64 },
    Seek { path: String, offset: i64, whence: i32 },
    Chdir { path: String },
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "l"];

fn path(rng: &mut Rng) -> String {
    let mut out = String::new();
    if rng.below(12) == 0 {
        out.push_str(rng.pick(&["./", "../base/", "", ".//"]));
    }
    for depth in 0..1 + rng.below(3) {
        if depth > 0 {
            out.push_str(if rng.below(15) == 0 { "//" } else { "/" });
        }
        let odd = rng.below(25);
        out.push_str(match odd {
            0 => ".",
            1 => "..",
            _ => rng.pick(&NAMES),
        });
    }
    match rng.below(20) {
        0 => out.push('/'),
        1 => out.push_str("/."),
        2 => out.push_str("/.."),
        3 if rng.below(6) == 0 => out.clear(),
        4 if rng.below(6) == 0 => out = "n".repeat(254 + rng.below(3) as usize),
        5 if rng.below(8) == 0 => out = "./".repeat(2040 + rng.below(12) as usize) + "a",
        _ => {}
    }
    if climbs(&out) { path(rng) } else { out }
}

/// True when the path may lead out of the base directory, where the rest of the machine is. Names
/// may be symbolic links to the base directory's own entries, so each name counts for one level at
/// most from where it stands: a `..` is allowed only directly behind a name, where at worst it
/// leads from an entry of the base directory to that directory.
fn climbs(path: &str) -> bool {
    let inner = path.strip_prefix("../base/").unwrap_or(path);
    let mut behind_name = false;
    for part in inner.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." && !behind_name {
            return true;
        }
        behind_name = part != "..";
    }
    false
}

fn flags(rng: &mut Rng) -> i32 {
    let mut flags = rng.pick(&[libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR]) | libc::O_NONBLOCK;
    for (flag, odds) in [
        (libc::O_CREAT, 2),
        (libc::O_EXCL, 4),
        (libc::O_TRUNC, 4),
        (libc::O_APPEND, 6),
        (libc::O_DIRECTORY, 6),
        (libc::O_NOFOLLOW, 5),
        (libc::O_PATH, 10),
        (libc::O_NOATIME, 12),
        (libc::O_TMPFILE, 20),
    ] {
        if rng.below(odds) == 0 {
            flags |= flag;
        }
    }
    // EXCL without CREAT is undefined (open(2)).
    if flags & libc::O_CREAT == 0 { flags & !libc::O_EXCL } else { flags }
}

fn mode(rng: &mut Rng) -> u32 {
    rng.pick(&[0o755, 0o644, 0o700, 0o777, 0o4755, 0o2755, 0o1777, 0o000, 0o555, 0o111, 0o2777, 0o6777, 0o733])
}

fn id(rng: &mut Rng) -> u32 {
    rng.pick(&[0, 1000, 1001, u32::MAX])
}

fn xattr(rng: &mut Rng) -> String {
    rng.pick(&["user.a", "user.b", "trusted.a", "security.a", "user.", "nope.a", "x", "", "system.a"]).to_string()
}

/// One call. `user`: leave out what a hardened Linux may refuse to users by configuration.
pub fn random(rng: &mut Rng, user: bool) -> Op {
    let p = path(rng);
    match rng.below(if user { 37 } else { 41 }) {
        0..=3 => Op::Open { path: p, flags: flags(rng), mode: mode(rng) },
        4 | 5 => {
            let resolve = [1, 2, 4, 8, 16, 9, 20].into_iter().filter(|_| rng.below(3) == 0).fold(0, |a, b| a | b);
            let mut flags = flags(rng);
            if flags & libc::O_PATH != 0 {
                flags &= libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            }
            let creates = flags & (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY) != 0;
            Op::OpenHow { path: p, flags, mode: if creates { mode(rng) } else { 0 }, resolve }
        }
        6..=9 => Op::Mkdir { path: p, mode: mode(rng) },
        10 => Op::Mkfifo { path: p, mode: mode(rng) },
        11 => Op::Mknod {
            path: p,
            mode: mode(rng) | rng.pick(&[libc::S_IFCHR, libc::S_IFREG, libc::S_IFDIR, 0, libc::S_IFSOCK, libc::S_IFLNK]),
            dev: 259,
        },
        12 | 13 => Op::Rmdir { path: p },
        14 | 15 => Op::Unlink { path: p },
        16..=19 => Op::Rename { old: p, new: path(rng), flags: rng.pick(&[0, 0, 0, 1, 2, 3, 8]) },
        20 | 21 => {
            let target = match rng.below(8) {
                0 => "l".to_string(),
                1 => "missing".to_string(),
                2 => "a/".to_string(),
                3 => "../a".to_string(),
                _ => rng.pick(&NAMES).to_string(),
            };
            // A target that climbs must not be at the top.
            let p = if target.starts_with("..") && !p.contains('/') { format!("a/{p}") } else { p };
            let target = if target.starts_with("..") { "b".to_string() } else { target };
            Op::Symlink { target, path: p }
        }
        22 => Op::Readlink { path: p },
        23 | 24 => Op::Chmod { path: p, mode: mode(rng) },
        25 => Op::Chown { path: p, uid: id(rng), gid: id(rng), follow: rng.below(2) == 0 },
        26 => Op::Truncate { path: p, size: rng.pick(&[0, 1, 5000, 100]) },
        27 => Op::Access { path: p, mask: rng.below(8) as i32 },
        28 | 29 => Op::Stat { path: p, follow: rng.below(2) == 0 },
        30 => Op::Utimens { path: p, atime: rng.below(5) as i64 - 2, mtime: rng.below(5) as i64 - 2 },
        31 => Op::List { path: p },
        32 => Op::Write {
            path: p,
            offset: rng.pick(&[0, 10, 4090, 10000]),
            len: 1 + rng.below(6000) as usize,
            append: rng.below(3) == 0,
        },
        33 => Op::Seek {
            path: p,
            offset: rng.pick(&[0, 4096, 5000, 9000, 20000]),
            whence: rng.pick(&[libc::SEEK_DATA, libc::SEEK_HOLE]),
        },
        34 => Op::Fallocate {
            path: p,
            mode: rng.pick(&[0, 1, 3, 2, 4, 64, 8, 1 << 20]),
            offset: rng.pick(&[0, 4096, 100, 9000, -1]),
            len: rng.pick(&[1, 4096, 6000, 0]),
        },
        35 => Op::Chdir { path: p },
        36 => match rng.below(4) {
            0 | 1 => Op::SetXattr { path: p, name: xattr(rng), flags: rng.pick(&[0, 0, 1, 2, 3, 4]) },
            2 => Op::GetXattr { path: p, name: xattr(rng) },
            _ => Op::ListXattr { path: p },
        },
        37 => Op::RemoveXattr { path: p, name: xattr(rng) },
        _ => Op::Link { old: p, new: path(rng), follow: rng.below(2) == 0 },
    }
}
