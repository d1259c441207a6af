//! Random sequences of calls.

use std::string::String;
use std::vec;
use std::vec::Vec;
use std::{eprintln, format};

use mem::host::CPUS;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::model::{END, PageNumber, Remap, Touch};
use super::world::{At, FILES, Kind, Op, SPACES, World};
use crate::MapFlags;
use crate::flags::Prot;
use crate::madvise::Advice;

/// Around these pages, where tables end, programs have their memory: each `SPREAD` units, some
/// below and some above.
const PLACES: [PageNumber; 4] = [1 << 18, (1 << 18) + 512, 1 << 27, END];
const SPREAD: u64 = 16;

#[derive(Clone, Debug)]
struct Step {
    cpu: usize,
    program: usize,
    op: Op,
    /// At which of the areas that there are, in place of where the call says.
    area: Option<usize>,
}

fn page(unit: u64) -> impl Strategy<Value = PageNumber> {
    (0..PLACES.len(), 0..SPREAD).prop_map(move |(place, n)| {
        let below = if PLACES[place] == END { SPREAD } else { SPREAD / 2 };
        PLACES[place] - below * unit + n * unit
    })
}

fn len(unit: u64) -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1..4u64, 1 => 4..14u64].prop_map(move |n| n * unit)
}

fn prot() -> impl Strategy<Value = Prot> {
    prop_oneof![
        4 => Just(Prot::READ | Prot::WRITE),
        1 => Just(Prot::READ),
        1 => Just(Prot::empty()),
        1 => Just(Prot::READ | Prot::EXEC),
        1 => Just(Prot::all()),
    ]
}

fn map(unit: u64) -> impl Strategy<Value = Op> {
    let at = prop_oneof![
        1 => Just(At::Anywhere),
        2 => page(unit).prop_map(At::Hint),
        5 => page(unit).prop_map(At::Fixed),
        1 => page(unit).prop_map(At::NoReplace),
    ];
    let kind = prop_oneof![
        4 => Just(Kind::Private),
        1 => Just(Kind::Stack),
        2 => Just(Kind::Shared),
        2 => (0..FILES).prop_map(Kind::PrivateFile),
        2 => (0..FILES).prop_map(Kind::SharedFile),
    ];
    let extra = prop_oneof![
        6 => Just(MapFlags::empty()),
        1 => Just(MapFlags::NORESERVE),
        1 => Just(if unit == 1 { MapFlags::POPULATE } else { MapFlags::empty() }),
        1 => Just(if unit == 1 { MapFlags::LOCKED } else { MapFlags::empty() }),
    ];
    (at, len(unit), prot(), kind, 0..12u64, extra).prop_map(|(at, len, prot, kind, offset, extra)| Op::Map {
        at,
        len,
        prot,
        kind,
        offset,
        extra,
    })
}

fn remap(unit: u64) -> impl Strategy<Value = Op> {
    let old = prop_oneof![8 => len(unit), 1 => Just(0), 1 => Just(END), 1 => Just(u64::MAX >> 13)];
    (page(unit), old, len(unit), any::<bool>(), 0..4u8, page(unit), any::<bool>()).prop_map(
        |(at, old, new, may_move, how, to, equal)| {
            let new = if equal && old < 64 { old } else { new };
            Op::Remap(Remap { at, old, new, may_move: may_move || how > 0, fixed: how == 1, keep: how == 2, to })
        },
    )
}

fn advice(unit: u64) -> impl Strategy<Value = Op> {
    let mut kinds = vec![
        Advice::Normal,
        Advice::Random,
        Advice::WillNeed,
        Advice::DontNeed,
        Advice::DontNeed,
        Advice::Free,
        Advice::Remove,
        Advice::DontFork,
        Advice::DoFork,
        Advice::WipeOnFork,
        Advice::KeepOnFork,
        Advice::NoHugePage,
        Advice::HugePage,
        Advice::Cold,
        Advice::DontNeedLocked,
        Advice::GuardInstall,
        Advice::GuardRemove,
    ];
    if unit == 1 {
        kinds.extend([Advice::PopulateRead, Advice::PopulateWrite]);
    }
    (page(unit), len(unit), proptest::sample::select(kinds)).prop_map(|(at, len, advice)| Op::Advise { at, len, advice })
}

fn op(unit: u64) -> impl Strategy<Value = Op> {
    let touch = prop_oneof![
        3 => (1..u64::MAX).prop_map(Touch::Write),
        2 => Just(Touch::Read),
        1 => Just(Touch::Execute),
    ];
    prop_oneof![
        6 => map(unit),
        2 => (page(unit), len(unit)).prop_map(|(at, len)| Op::Unmap { at, len }),
        3 => (page(unit), len(unit), prot()).prop_map(|(at, len, prot)| Op::Protect { at, len, prot }),
        4 => remap(unit),
        3 => advice(unit),
        1 => (page(unit), len(unit), any::<bool>()).prop_map(move |(at, len, on_fault)| {
            // What would fill memory is left out.
            Op::Lock { at, len, on_fault: on_fault || unit > 1 }
        }),
        1 => (page(unit), len(unit)).prop_map(|(at, len)| Op::Unlock { at, len }),
        12 => (page(unit), 0..unit, touch).prop_map(|(at, more, touch)| Op::Touch { at: at + more, touch }),
        1 => (0..FILES, 0..24u64).prop_map(|(file, pages)| Op::Resize { file, pages }),
        2 => Just(Op::Fork),
        1 => Just(Op::Exit),
        1 => Just(Op::Idle),
    ]
}

fn steps(unit: u64, count: usize) -> impl Strategy<Value = Vec<Step>> {
    let area = proptest::option::weighted(0.7, 0..64usize);
    // Most of it happens on one CPU, whose translations last.
    let cpu = prop_oneof![2 => Just(0), 1 => 0..CPUS];
    let step = (cpu, 0..SPACES, op(unit), area).prop_map(|(cpu, program, op, area)| Step { cpu, program, op, area });
    proptest::collection::vec(step, 1..count)
}

fn play(steps: &[Step], large_pages: bool) -> Result<(), String> {
    let mut world = World::new(large_pages);
    for (number, Step { cpu, program, op, area }) in steps.iter().enumerate() {
        let op = area.map_or(*op, |area| world.aim(*program, *op, area));
        if let Err(error) = world.step(*cpu, *program, op) {
            // What is left is of no more use.
            core::mem::forget(world);
            return Err(format!("step {number}, {op:x?}: {error}"));
        }
    }
    world.end()
}

fn check(unit: u64, count: usize, cases: u32, large_pages: bool) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let run = |steps: Vec<Step>| play(&steps, large_pages).map_err(TestCaseError::fail);
    if let Err(error) = TestRunner::new(config).run(&steps(unit, count), run) {
        eprintln!("{error}");
        panic!("the machine does not do what the model does");
    }
}

#[test]
fn calls_do_what_the_model_does() {
    check(1, 80, 400, false);
}

#[test]
fn calls_on_large_pages_do_what_the_model_does() {
    check(64, 50, 60, true);
}
