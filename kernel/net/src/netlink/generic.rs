//! `NETLINK_GENERIC`: families that come and go. Of those there is the controller alone, which
//! tells what families there are, and what their requests look like (Linux,
//! Documentation/userspace-api/netlink/intro.rst).

use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};

use super::message::{Request, attribute, attributes, find, flag, half, text};
use super::route::Answers;

/// `GENL_ID_CTRL`, and the version of its messages.
const CONTROLLER: u16 = 16;
const VERSION: u8 = 2;
/// `sizeof(struct genlmsghdr)`.
const HEADER: usize = 4;
/// The most that a family's name has, with its zero.
const NAME: usize = 16;
/// `CTRL_CMD_*`.
const NEW_FAMILY: u8 = 1;
const GET_FAMILY: u8 = 3;
const GET_POLICY: u8 = 10;
/// `CTRL_ATTR_*`.
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const FAMILY_VERSION: u16 = 3;
const HEADER_SIZE: u16 = 4;
const MAX_ATTRIBUTE: u16 = 5;
const OPERATIONS: u16 = 6;
const GROUPS: u16 = 7;
const POLICY: u16 = 8;
const OPERATION_POLICY: u16 = 9;
const OPERATION: u16 = 10;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `GENL_CMD_CAP_DO`, `GENL_CMD_CAP_DUMP`, `GENL_CMD_CAP_HASPOL`.
const CAN_DO: u32 = 2;
const CAN_DUMP: u32 = 4;
const HAS_POLICY: u32 = 8;

/// What an attribute holds (`NL_ATTR_TYPE_*`).
#[derive(Clone, Copy)]
enum Holds {
    /// A number of up to so much.
    Number(u32, u64),
    /// A text of so many bytes at most.
    Text(u32),
}

const U16: Holds = Holds::Number(3, u16::MAX as u64);
const U32: Holds = Holds::Number(4, u32::MAX as u64);
/// The attributes of the controller's requests: [`GET_FAMILY`]'s, and [`GET_POLICY`]'s.
const POLICIES: [&[(u16, Holds)]; 2] = [
    &[(FAMILY_ID, U16), (FAMILY_NAME, Holds::Text(NAME as u32 - 1))],
    &[(FAMILY_ID, U16), (FAMILY_NAME, Holds::Text(NAME as u32 - 1)), (OPERATION, U32)],
];

fn word(out: &mut Vec<u8>, kind: u16, value: u32) {
    attribute(out, kind, &value.to_ne_bytes());
}

/// `CTRL_CMD_NEWFAMILY` about the controller.
fn controller() -> Vec<u8> {
    let mut out = alloc::vec![NEW_FAMILY, VERSION, 0, 0];
    attribute(&mut out, FAMILY_NAME, b"nlctrl\0");
    attribute(&mut out, FAMILY_ID, &CONTROLLER.to_ne_bytes());
    word(&mut out, FAMILY_VERSION, VERSION.into());
    word(&mut out, HEADER_SIZE, 0);
    word(&mut out, MAX_ATTRIBUTE, 0);
    let operations = [(GET_FAMILY, CAN_DO | CAN_DUMP | HAS_POLICY), (GET_POLICY, CAN_DUMP | HAS_POLICY)];
    let mut nested = Vec::new();
    for ((command, can), place) in operations.into_iter().zip(1..) {
        let mut operation = Vec::new();
        word(&mut operation, 1, command.into());
        word(&mut operation, 2, can);
        attribute(&mut nested, place, &operation);
    }
    attribute(&mut out, OPERATIONS, &nested);
    let mut group = Vec::new();
    word(&mut group, 2, CONTROLLER.into());
    attribute(&mut group, 1, b"notify\0");
    let mut groups = Vec::new();
    attribute(&mut groups, 1, &group);
    attribute(&mut out, GROUPS, &groups);
    out
}

/// What the controller's requests look like: first which policy each command has, then the
/// policies, an attribute in each message.
fn policies() -> Answers {
    let message = |kind: u16, nested: &[u8]| {
        let mut out = alloc::vec![GET_POLICY, VERSION, 0, 0];
        attribute(&mut out, FAMILY_ID, &CONTROLLER.to_ne_bytes());
        attribute(&mut out, kind | NESTED, nested);
        (CONTROLLER, out)
    };
    // `CTRL_ATTR_POLICY_DO` and `CTRL_ATTR_POLICY_DUMP`; a command that only dumps is told without
    // its number, as on Linux.
    let operations: [(u8, &[(u16, u32)]); 2] = [(GET_FAMILY, &[(1, 0), (2, 0)]), (0, &[(2, 1)])];
    let mut answers = Answers::new();
    for (command, ways) in operations {
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        ways.iter().for_each(|(way, policy)| word(&mut inner, *way, *policy));
        attribute(&mut outer, u16::from(command) | NESTED, &inner);
        answers.push(message(OPERATION_POLICY, &outer));
    }
    for (policy, place) in POLICIES.iter().zip(0..) {
        for (kind, holds) in *policy {
            let mut about = Vec::new();
            // `NL_POLICY_TYPE_ATTR_*`: least and largest value or length, and the type.
            match holds {
                Holds::Number(number, most) => {
                    attribute(&mut about, 4, &0u64.to_ne_bytes());
                    attribute(&mut about, 5, &most.to_ne_bytes());
                    word(&mut about, 1, *number);
                }
                Holds::Text(most) => {
                    word(&mut about, 7, *most);
                    word(&mut about, 1, 12);
                }
            }
            let (mut inner, mut outer) = (Vec::new(), Vec::new());
            attribute(&mut inner, *kind | NESTED, &about);
            attribute(&mut outer, place | NESTED, &inner);
            answers.push(message(POLICY, &outer));
        }
    }
    answers
}

/// Whether a request names the controller. `EINVAL` where it names nobody, `ENOENT` where somebody
/// else.
fn is_for_controller(body: &[u8]) -> SysResult<()> {
    if attributes(body).any(|(kind, value)| kind == FAMILY_NAME && text(value).len() >= NAME) {
        return Err(Errno::EINVAL);
    }
    match (find(body, FAMILY_ID), find(body, FAMILY_NAME)) {
        (_, Some(name)) if text(name) == b"nlctrl" => Ok(()),
        (Some(id), None) if half(id, 0) == CONTROLLER => Ok(()),
        (None, None) => Err(Errno::EINVAL),
        _ => Err(Errno::ENOENT),
    }
}

/// Answers a question: whether it was a dump, too. `ENOENT` for families that there are not,
/// `EOPNOTSUPP` for commands.
pub fn answer(request: &Request, body: &[u8]) -> SysResult<(Answers, bool)> {
    if request.kind != CONTROLLER {
        return Err(Errno::ENOENT);
    }
    let command = *body.first().ok_or(Errno::EINVAL)?;
    let rest = body.get(HEADER..).ok_or(Errno::EINVAL)?;
    let dumps = request.flags & flag::DUMP == flag::DUMP;
    match (command, dumps) {
        (GET_FAMILY, true) => Ok((alloc::vec![(CONTROLLER, controller())], true)),
        (GET_FAMILY, false) => is_for_controller(rest).map(|()| (alloc::vec![(CONTROLLER, controller())], false)),
        (GET_POLICY, true) => is_for_controller(rest).map(|()| (policies(), true)),
        _ => Err(Errno::EOPNOTSUPP),
    }
}
