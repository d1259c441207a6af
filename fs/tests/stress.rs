//! Threads that change one tree at once: no deadlock, no lost file, and a dentry cache that agrees
//! with the file system.

use fs::namespace::OpenHow;
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn random(seed: &mut u64, n: u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 33) % n
}

fn path(seed: &mut u64) -> String {
    let mut out = String::new();
    for _ in 0..=random(seed, 3) {
        out.push('/');
        out.push(['a', 'b', 'c', 'd'][random(seed, 4) as usize]);
    }
    out
}

fn churn(ns: &Namespace, mut seed: u64, steps: usize) {
    let ctx = ns.kernel_context();
    for _ in 0..steps {
        let (p, q) = (path(&mut seed), path(&mut seed));
        let (p, q) = (p.as_bytes(), q.as_bytes());
        // Most of these fail, one way or another; what matters is the state they leave.
        let _ = match random(&mut seed, 9) {
            0 | 1 => ns.mkdir(&ctx, None, p, 0o755).map(drop),
            2 => {
                let how = OpenHow { flags: OpenFlags::CREAT | OpenFlags::WRONLY, mode: 0o644, ..Default::default() };
                ns.open(&ctx, None, p, &how).map(drop)
            }
            3 => ns.unlink(&ctx, None, p),
            4 => ns.rmdir(&ctx, None, p),
            5 => ns.rename(&ctx, None, p, None, q, RenameFlags::empty()),
            6 => ns.rename(&ctx, None, p, None, q, RenameFlags::EXCHANGE),
            7 => ns.link(&ctx, None, p, None, q, LookupFlags::default()),
            _ => ns.resolve(&ctx, None, p, LookupFlags::FOLLOW).map(|found| {
                found.display(&ns.root());
            }),
        };
    }
}

/// Walks the tree by listing, and checks each name against a walk through the cache. Counts names
/// by inode.
fn check(ns: &Namespace, dir: &Path, links: &mut BTreeMap<u64, (u32, u32)>) -> u32 {
    let ctx = ns.kernel_context();
    let mut names = Vec::new();
    dir.readdir(&ns.root(), 2, &mut |e| {
        names.push((e.name.to_vec(), e.ino));
        true
    })
    .unwrap();
    let mut subdirs = 0;
    for name in [b"a", b"b", b"c", b"d"] {
        let listed = names.iter().find(|(n, _)| n == name).map(|(_, ino)| *ino);
        let found = ns.resolve(&ctx, Some(dir), name, LookupFlags::default()).ok();
        let m = found.as_ref().map(|f| f.inode().unwrap().metadata());
        assert_eq!(m.as_ref().map(|m| m.ino), listed, "the cache and the directory disagree");
        let (Some(found), Some(m)) = (found, m) else { continue };
        assert_eq!(
            ns.resolve(&ctx, Some(&found), b"..", LookupFlags::default()).ok().as_ref(),
            m.mode.eq(&0o040755).then_some(dir)
        );
        if m.file_type() == FileType::Dir {
            subdirs += 1;
            let below = check(ns, &found, links);
            assert_eq!(m.nlink, 2 + below);
        } else {
            links.entry(m.ino).or_insert((m.nlink, 0)).1 += 1;
        }
    }
    assert_eq!(names.len(), names.iter().filter(|(n, _)| n.len() == 1).count());
    subdirs
}

#[test]
fn threads_leave_a_sound_tree() {
    fs::testing::install();
    fs::dentry::set_cache_limit(40);
    for round in 0..60 {
        let ns: Arc<Namespace> = Namespace::new(Tmpfs::new(TmpfsOptions::default()).unwrap(), "tmpfs", MountFlags::empty());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ns = &ns;
                scope.spawn(move || churn(ns, round * 100 + thread, 3000));
            }
        });
        let mut links = BTreeMap::new();
        let below = check(&ns, &ns.root(), &mut links);
        assert_eq!(ns.root().inode().unwrap().metadata().nlink, 2 + below);
        for (ino, (nlink, names)) in links {
            assert_eq!(nlink, names, "link count of inode {ino}");
        }
    }
}
