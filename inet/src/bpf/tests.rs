use alloc::vec;
use alloc::vec::Vec;

use super::*;

fn i(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn program(instructions: Vec<Instruction>) -> Program {
    Program::new(instructions).expect("is right")
}

fn packet(head: &[u8]) -> Packet<'_> {
    Packet { view: View { head, ..View::default() }, ..Packet::default() }
}

const RETURN: Instruction = Instruction { code: 0x06, jt: 0, jf: 0, k: 0xffff };

#[test]
fn loads_of_every_width_see_both_pieces() {
    let view = View { head: &[1, 2, 3], tail: &[4, 5], ..View::default() };
    let packet = Packet { view, ..Packet::default() };
    for (code, k, value) in [(0x20, 0, 0x0102_0304), (0x28, 2, 0x0304), (0x30, 4, 5), (0x20, 1, 0x0203_0405), (0x20, 2, 0)] {
        assert_eq!(program(vec![i(code, 0, 0, k), i(0x16, 0, 0, 0)]).run(&packet), value, "{code:x} {k}");
    }
    assert_eq!(program(vec![i(0x80, 0, 0, 0), i(0x16, 0, 0, 0)]).run(&packet), 5);
}

#[test]
fn headers_are_found_by_negative_offsets() {
    let view = View { head: &[9, 8, 7, 6], tail: &[], start: 3, network: 2, link: 1 };
    let packet = Packet { view, ..Packet::default() };
    let byte = |k: i32| program(vec![i(0x30, 0, 0, k as u32), i(0x16, 0, 0, 0)]).run(&packet);
    assert_eq!((byte(0), byte(NETWORK), byte(LINK), byte(LINK + 2)), (6, 7, 8, 6));
    // By the index register too, and not beyond.
    let indexed = vec![i(0x01, 0, 0, LINK as u32), i(0x50, 0, 0, 1), i(0x16, 0, 0, 0)];
    assert_eq!(program(indexed).run(&packet), 7);
    assert_eq!(byte(LINK - 1), 0);
}

#[test]
fn arithmetic() {
    let of = |code: u16, a: u32, k: u32| program(vec![i(0, 0, 0, a), i(code, 0, 0, k), i(0x16, 0, 0, 0)]).run(&packet(&[]));
    assert_eq!(of(0x04, u32::MAX, 2), 1);
    assert_eq!(of(0x14, 1, 2), u32::MAX);
    assert_eq!(of(0x24, 3, 5), 15);
    assert_eq!(of(0x34, 7, 2), 3);
    assert_eq!(of(0x94, 7, 4), 3);
    assert_eq!(of(0x44, 5, 2), 7);
    assert_eq!(of(0x54, 7, 5), 5);
    assert_eq!(of(0xa4, 7, 5), 2);
    assert_eq!(of(0x64, 1, 31), 1 << 31);
    assert_eq!(of(0x74, 1 << 31, 31), 1);
    assert_eq!(of(0x84, 1, 0), u32::MAX);
    // Division by an index of 0 drops the packet.
    assert_eq!(program(vec![i(0, 0, 0, 4), i(0x3c, 0, 0, 0), RETURN]).run(&packet(&[])), 0);
}

#[test]
fn jumps_and_memory() {
    // UDP to port 53 over IPv4, from the network header on.
    let dns = program(vec![
        i(0x30, 0, 0, 9),
        i(0x15, 0, 4, 17),
        i(0xb1, 0, 0, 0),
        i(0x48, 0, 0, 2),
        i(0x15, 0, 1, 53),
        i(0x06, 0, 0, 100),
        i(0x06, 0, 0, 0),
    ]);
    let mut bytes = [0u8; 28];
    (bytes[0], bytes[9], bytes[23]) = (0x45, 17, 53);
    assert_eq!(dns.run(&packet(&bytes)), 100);
    bytes[23] = 54;
    assert_eq!(dns.run(&packet(&bytes)), 0);
    let memory =
        vec![i(0, 0, 0, 7), i(0x02, 0, 0, 15), i(0, 0, 0, 0), i(0x61, 0, 0, 15), i(0x87, 0, 0, 0), i(0x16, 0, 0, 0)];
    assert_eq!(program(memory).run(&packet(&[])), 7);
}

#[test]
fn what_is_known_of_a_packet() {
    let known = Packet { protocol: 0x0800, kind: 4, interface: 3, hardware: 772, mark: 9, cpu: 1, ..Packet::default() };
    let ask = |what: u32| {
        let k = (ANCILLARY as u32).wrapping_add(what);
        program(vec![i(0x20, 0, 0, k), i(0x16, 0, 0, 0)]).run(&known)
    };
    use ancillary::*;
    let answers = [PROTOCOL, PKTTYPE, IFINDEX, HATYPE, MARK, CPU, QUEUE].map(ask);
    assert_eq!(answers, [0x0800, 4, 3, 772, 9, 1, 0]);
    // Two attributes, the second of type 5.
    let attributes = [4u16, 1, 4, 5].iter().flat_map(|n| n.to_ne_bytes()).collect::<Vec<u8>>();
    let find = |kind: u32| {
        let k = (ANCILLARY as u32).wrapping_add(NLATTR);
        program(vec![i(0x01, 0, 0, kind), i(0x20, 0, 0, k), i(0x16, 0, 0, 0)]).run(&packet(&attributes))
    };
    assert_eq!((find(5), find(6)), (4, 0));
}

#[test]
fn what_is_refused() {
    let refused: &[&[Instruction]] = &[
        &[],
        &[i(0, 0, 0, 0)],
        // Out of the program.
        &[i(0x05, 0, 0, 1), RETURN],
        &[i(0x05, 0, 0, u32::MAX), RETURN],
        &[i(0x15, 1, 0, 0), RETURN],
        &[i(0x15, 0, 1, 0), RETURN],
        // Division by zero, shifts that are too far.
        &[i(0x34, 0, 0, 0), RETURN],
        &[i(0x94, 0, 0, 0), RETURN],
        &[i(0x64, 0, 0, 32), RETURN],
        // Memory that there is not, or that was not written on some way.
        &[i(0x02, 0, 0, 16), RETURN],
        &[i(0x60, 0, 0, 0), RETURN],
        &[i(0x15, 1, 0, 0), i(0x02, 0, 0, 3), i(0x60, 0, 0, 3), RETURN],
        // Unknown instructions, and unknown facts.
        &[i(0x07 | 0x08, 0, 0, 0), RETURN],
        &[i(0x0e, 0, 0, 0), i(0x0e, 0, 0, 0)],
        &[i(0x18, 0, 0, 0), RETURN],
        &[i(0x100, 0, 0, 0), RETURN],
        &[i(0x20, 0, 0, -0x1000i32 as u32 + 64), RETURN],
        &[i(0x20, 0, 0, -1i32 as u32), RETURN],
    ];
    for program in refused {
        assert_eq!(Program::new(program.to_vec()), Err(Invalid), "{program:x?}");
    }
    assert_eq!(Program::new(vec![RETURN; MAX_INSTRUCTIONS + 1]), Err(Invalid));
    assert!(Program::new(vec![RETURN; MAX_INSTRUCTIONS]).is_ok());
    assert!(Program::new(vec![i(0x05, 0, 0, 0), RETURN]).is_ok());
}

#[test]
fn bytes_and_back() {
    let one = i(0x15, 1, 2, 0x0304_0506);
    assert_eq!(Instruction::read(&one.bytes()), one);
}
