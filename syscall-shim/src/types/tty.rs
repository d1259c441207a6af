//! Terminals: ioctl_tty(2), termios(3).

abi_structs! {
    /// The kernel's `struct termios` (`TCGETS`): 19 control characters, no speed fields.
    Termios [36] { c_iflag: u32, c_oflag: u32, c_cflag: u32, c_lflag: u32, c_line: u8, c_cc: [u8; 19], }
    /// `struct termios2` (`TCGETS2`).
    Termios2 [44] { c_iflag: u32, c_oflag: u32, c_cflag: u32, c_lflag: u32, c_line: u8, c_cc: [u8; 19], c_ispeed: u32, c_ospeed: u32, }
    /// `struct termio` (`TCGETA`).
    Termio [18] { c_iflag: u16, c_oflag: u16, c_cflag: u16, c_lflag: u16, c_line: u8, c_cc: [u8; 8], padding: u8, }
    /// `struct winsize` (`TIOCGWINSZ`).
    Winsize [8] { ws_row: u16, ws_col: u16, ws_xpixel: u16, ws_ypixel: u16, }
}

impl From<Termios2> for Termios {
    fn from(t: Termios2) -> Self {
        Self {
            c_iflag: t.c_iflag,
            c_oflag: t.c_oflag,
            c_cflag: t.c_cflag,
            c_lflag: t.c_lflag,
            c_line: t.c_line,
            c_cc: t.c_cc,
        }
    }
}
