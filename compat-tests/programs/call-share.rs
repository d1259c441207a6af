// compat: variants=pie,static-pie direct=99
// Files, a pair of sockets and threads by Rust's standard library.
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;

fn main() {
    let path = std::env::temp_dir().join(format!("call-share-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let echo = std::thread::spawn(move || {
        let mut byte = [0];
        while there.read(&mut byte).unwrap() == 1 {
            there.write_all(&byte).unwrap();
        }
    });
    let mut wrong = 0;
    for i in 0..2000u32 {
        let mut buffer = i.to_le_bytes();
        file.write_all(&buffer).unwrap();
        file.seek(SeekFrom::Start(u64::from(i) * 4)).unwrap();
        file.read_exact(&mut buffer).unwrap();
        wrong += u32::from(u32::from_le_bytes(buffer) != i);
        here.write_all(&buffer[..1]).unwrap();
        here.read_exact(&mut buffer[..1]).unwrap();
        wrong += u32::from(buffer[0] != i as u8);
    }
    drop(here);
    echo.join().unwrap();
    println!("wrong: {wrong}");
}
