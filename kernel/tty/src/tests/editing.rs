//! What the line discipline makes of typed and of written bytes.

use alloc::vec;
use alloc::vec::Vec;

use fd::testing::{errno, events, read, write};
use linux_raw_sys::general as g;
use syscall_shim::types::Termios2;
use syscall_shim::{Errno, Signal};

use super::{Pty, change, character, settings};
use crate::discipline::{Discipline, Effects};
use fd::poll::ev;

/// A discipline of which some settings are others.
fn with(change: impl FnOnce(&mut Termios2)) -> Discipline {
    let mut discipline = Discipline::new();
    let mut termios = *discipline.termios();
    change(&mut termios);
    discipline.set_termios(termios);
    discipline
}

fn typed(discipline: &mut Discipline, bytes: &[u8]) -> Effects {
    discipline.receive(&mut bytes.iter().copied().collect())
}

/// What is shown of typed bytes.
fn echo(discipline: &mut Discipline, bytes: &[u8]) -> Vec<u8> {
    typed(discipline, bytes).echo
}

#[test]
fn a_line_goes_from_the_master_to_the_terminal_and_is_shown() {
    let pty = Pty::new();
    assert_eq!(write(&pty.master, b"ab\x7fc\n"), Ok(5));
    assert_eq!(read(&pty.slave, 100), Ok(b"ac\n".to_vec()));
    assert_eq!(read(&pty.master, 100), Ok(b"ab\x08 \x08c\r\n".to_vec()));
    assert_eq!(write(&pty.slave, b"one\ntwo"), Ok(7));
    assert_eq!(read(&pty.master, 5), Ok(b"one\r\n".to_vec()));
    assert_eq!(read(&pty.master, 5), Ok(b"two".to_vec()));
}

#[test]
fn what_is_erased_is_shown_in_the_ways_there_are() {
    let mut printer = with(|t| t.c_lflag |= g::ECHOPRT);
    assert_eq!(echo(&mut printer, b"abc\x7f\x7fd\n"), b"abc\\cb/d\r\n");
    assert_eq!(printer.read(10), b"ad\n");
    assert_eq!(echo(&mut printer, b"x\x7f"), b"x\\x/", "it ends with the line");
    let mut silent = with(|t| t.c_lflag &= !g::ECHOE);
    assert_eq!(echo(&mut silent, b"ab\x7f"), b"ab^?");
    let mut lines = with(|t| t.c_lflag &= !g::ECHOKE);
    assert_eq!(echo(&mut lines, b"ab\x15c"), b"ab^U\r\nc");
    let mut lines = with(|t| t.c_lflag &= !(g::ECHOKE | g::ECHOK));
    assert_eq!(echo(&mut lines, b"ab\x15c\n"), b"ab^Uc\r\n");
    assert_eq!(lines.read(10), b"c\n");
    let mut blind = with(|t| t.c_lflag &= !g::ECHO);
    assert_eq!(echo(&mut blind, b"ab\x7f\x15cd\x17e\n"), b"");
    assert_eq!(blind.read(10), b"e\n");
    let mut newline = with(|t| t.c_lflag = t.c_lflag & !g::ECHO | g::ECHONL);
    assert_eq!(echo(&mut newline, b"a\n"), b"\r\n");
}

#[test]
fn tabs_and_characters_of_several_bytes_are_erased_whole() {
    let mut d = with(|t| t.c_iflag |= g::IUTF8);
    assert_eq!(echo(&mut d, b"a\t\x7f"), [b"a\t".as_slice(), &[8; 7]].concat());
    assert_eq!(echo(&mut d, "é\u{7f}b\n".as_bytes()), "é\u{8} \u{8}b\r\n".as_bytes());
    assert_eq!(d.read(10), b"ab\n");
    assert_eq!(echo(&mut d, b"\xa9\x7f"), b"\xa9", "the rest of a character is none");
    let mut bytes = with(|_| ());
    assert_eq!(echo(&mut bytes, "é\u{7f}\n".as_bytes()), "é\u{8} \u{8}\r\n".as_bytes());
    assert_eq!(bytes.read(10), b"\xc3\n");
    let mut plain = with(|t| t.c_lflag &= !g::ECHOCTL);
    assert_eq!(echo(&mut plain, b"\x01\x7f"), b"\x01", "it took no room");
}

#[test]
fn words_are_letters_digits_and_underscores() {
    let mut d = with(|_| ());
    typed(&mut d, b"one two_3, \x17\n");
    assert_eq!(d.read(20), b"one \n");
    typed(&mut d, b"\xe9\xe8 \x17\n");
    assert_eq!(d.read(20), b"\n", "letters of ISO 8859-1");
    typed(&mut d, b"a\xd7\x17\n");
    assert_eq!(d.read(20), b"\n", "the sign of multiplication is none, and is before a word");
    let mut simple = with(|t| t.c_lflag &= !g::IEXTEN);
    typed(&mut simple, b"ab\x17\x16\n");
    assert_eq!(simple.read(20), b"ab\x17\x16\n", "without IEXTEN they are characters");
}

#[test]
fn a_line_is_shown_anew_and_ends_in_other_ways() {
    let mut d = with(|t| {
        character(t, g::VEOL, b';');
        character(t, g::VEOL2, b'.');
    });
    assert_eq!(echo(&mut d, b"ab\x12c"), b"ab^R\r\nabc");
    assert_eq!(echo(&mut d, b";d."), b";d.");
    assert_eq!((d.read(10), d.read(10)), (b"abc;".to_vec(), b"d.".to_vec()));
    assert_eq!(echo(&mut d, b"\x16\x03"), b"^\x08^C", "literally");
    assert_eq!(d.readable(), 0);
    typed(&mut d, b"\x04");
    assert_eq!((d.readable(), d.read(10)), (1, b"\x03".to_vec()));
}

#[test]
fn input_flags_change_bytes() {
    let lines = |iflag: u32, bytes: &[u8]| {
        let mut d = with(|t| t.c_iflag = iflag);
        typed(&mut d, bytes);
        d.read(20)
    };
    assert_eq!(lines(g::ISTRIP, b"\xe1\xe2\n"), b"ab\n");
    assert_eq!(lines(g::IUCLC, b"AbC\n"), b"abc\n");
    assert_eq!(lines(g::IGNCR | g::ICRNL, b"a\rb\n"), b"ab\n");
    assert_eq!(lines(g::ICRNL, b"a\r"), b"a\n");
    assert_eq!(lines(g::INLCR, b"a\nb\x04"), b"a\rb");
    assert_eq!(lines(g::PARMRK, b"\xff\n"), b"\xff\xff\n");
}

#[test]
fn output_flags_change_bytes() {
    let shown = |oflag: u32, bytes: &[u8]| with(|t| t.c_oflag = oflag).output(bytes);
    assert_eq!(shown(g::OPOST | g::ONLCR, b"a\n\tb"), b"a\r\n\tb");
    assert_eq!(shown(g::OPOST | g::OLCUC, b"abC"), b"ABC");
    assert_eq!(shown(g::OPOST | g::ONOCR, b"\ra\r\r"), b"a\r");
    assert_eq!(shown(g::OPOST | g::OCRNL, b"a\r"), b"a\n");
    assert_eq!(shown(g::OPOST | g::OCRNL | g::ONLRET | g::XTABS, b"a\r\t"), b"a\n        ");
    assert_eq!(shown(g::OPOST | g::XTABS, b"ab\tc\x08\x08\x08\t"), b"ab      c\x08\x08\x08  ");
    assert_eq!(shown(g::OPOST | g::ONLRET | g::XTABS, b"ab\n\t"), b"ab\n        ");
    assert_eq!(shown(g::ONLCR, b"a\n"), b"a\n", "without OPOST nothing");
}

#[test]
fn signal_characters() {
    let mut d = with(|t| t.c_lflag |= g::NOFLSH);
    let effects = typed(&mut d, b"ab\x03c\n");
    assert_eq!((effects.signals, effects.flushed, effects.echo), (vec![Signal::SIGINT], false, b"ab^Cc\r\n".to_vec()));
    assert_eq!(d.read(10), b"abc\n");
    let mut d = with(|t| character(t, g::VINTR, 0));
    assert_eq!(typed(&mut d, b"\0\x03").signals, []);
    let mut d = with(|t| t.c_lflag &= !g::ISIG);
    assert_eq!(typed(&mut d, b"\x03\x1c\x1a").signals, []);
    typed(&mut d, b"\n");
    assert_eq!(d.read(10), b"\x03\x1c\x1a\n");
}

#[test]
fn flow_is_stopped_by_characters() {
    let mut d = with(|t| t.c_iflag |= g::IXANY);
    assert_eq!(typed(&mut d, b"\x13").flow, Some(true));
    assert_eq!(typed(&mut d, b"\x13").flow, None, "it is already");
    let effects = typed(&mut d, b"x");
    assert_eq!((effects.flow, d.stopped()), (Some(false), false), "any character starts it");
    typed(&mut d, b"\x13");
    assert_eq!(typed(&mut d, b"\x03").flow, Some(false), "a signal too");
    assert!(d.set_stopped(true) && !d.set_stopped(true));
}

#[test]
fn canonical_mode_comes_and_goes() {
    let mut d = with(|_| ());
    typed(&mut d, b"a\nb\x04c");
    let mut termios = *d.termios();
    termios.c_lflag &= !g::ICANON;
    d.set_termios(termios);
    assert!(d.ready(5) && !d.ready(6));
    assert_eq!(d.read(3), b"a\nb");
    termios.c_lflag |= g::ICANON;
    d.set_termios(termios);
    assert_eq!(d.read(10), b"\0c", "the end of a file has become a character, and all is a line");
    typed(&mut d, b"xyz");
    d.flush_input();
    assert!(!d.ready(1) && d.readable() == 0);
}

#[test]
fn a_line_can_be_too_long() {
    let pty = Pty::new();
    change(&pty.slave, |t| t.c_lflag &= !g::ECHO);
    assert_eq!(write(&pty.master, &[b'a'; 5000]), Ok(5000));
    assert_eq!(events(&pty.slave) & ev::IN, 0);
    write(&pty.master, b"b\n").unwrap();
    let line = read(&pty.slave, 8192).unwrap();
    assert_eq!((line.len(), line.last()), (4096, Some(&b'\n')));
    assert!(line[..4095].iter().all(|byte| *byte == b'a'));
}

#[test]
fn typed_bytes_wait_for_room() {
    let pty = Pty::raw();
    pty.master.set_nonblocking(true);
    assert_eq!(write(&pty.master, &[b'x'; 20_000]), Ok(4095 + 8192 + 256));
    assert_eq!(errno(write(&pty.master, b"y")), Some(Errno::EAGAIN));
    assert_eq!(events(&pty.master) & ev::OUT, 0);
    let mut all = Vec::new();
    while all.len() < 12_543 {
        all.extend(read(&pty.slave, 10_000).unwrap());
    }
    assert_eq!((all.len(), events(&pty.master) & ev::OUT), (12_543, ev::OUT));
    assert!(settings(&pty.slave).c_lflag == 0 && all.iter().all(|byte| *byte == b'x'));
}
