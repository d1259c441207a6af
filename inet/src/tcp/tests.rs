//! Two ends and a network between them that does what the test says.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::request::{Request, cookie, from_cookie};
use super::*;
use crate::Bytes;
use crate::ip::Flow;
use crate::siphash::Key;

const CONFIG: Config =
    Config { mss: 1000, default_mss: 536, limits: Limits { receive: 64 << 10, receive_max: 1 << 20, send: 64 << 10 } };

type Packet = (Header, Vec<u8>);

struct End {
    tcb: Tcb,
    inbox: VecDeque<Packet>,
    received: Vec<u8>,
}

impl End {
    fn new(tcb: Tcb) -> End {
        End { tcb, inbox: VecDeque::new(), received: Vec::new() }
    }

    fn output(&mut self, now: Instant) -> Vec<Packet> {
        let mut out = Vec::new();
        while let Some(t) = self.tcb.poll_transmit(now, 1000, 8) {
            let payload: Vec<u8> = t.payload.iter().flat_map(|p| p.to_vec()).collect();
            assert_eq!(payload.len(), t.len);
            out.push((t.header, payload));
        }
        out
    }

    fn input(&mut self, packet: Packet, now: Instant) -> Option<Header> {
        self.tcb.receive(&packet.0, packet.1.into(), now)
    }

    fn read(&mut self, now: Instant) {
        while let Some(piece) = self.tcb.peek(0) {
            self.received.extend_from_slice(&piece);
            self.tcb.consume(piece.len(), now);
        }
    }
}

/// A connection with the handshake done.
fn pair(config: Config) -> [End; 2] {
    let mut a = Tcb::connect((1000, 80), Seq(u32::MAX - 5), config, Settings::default(), 0);
    let syn = a.poll_transmit(0, 1000, 8).unwrap().header;
    assert_eq!(syn.flags, Flags::SYN);
    let request = Request::new(&syn, Seq(77), config.limits.receive, 0);
    let syn_ack = request.syn_ack((80, 1000), config.mss, config.limits.receive_max);
    assert!(a.receive(&syn_ack, Bytes::default(), MS).is_none());
    assert_eq!(a.state(), State::Established);
    let ack = a.poll_transmit(MS, 1000, 8).unwrap().header;
    assert!(request.is_answered_by(&ack));
    let mut b = Tcb::accept(&request, &ack, config, Settings::default(), 2 * MS);
    assert!(b.receive(&ack, Bytes::default(), 2 * MS).is_none());
    assert!(b.poll_transmit(2 * MS, 1000, 8).is_none());
    [End::new(a), End::new(b)]
}

/// Lets packets and time pass until both are quiet or `until`; `fate` tells how often a packet
/// arrives, and whether late.
fn run(ends: &mut [End; 2], now: &mut Instant, until: Instant, fate: &mut impl FnMut() -> (usize, bool)) {
    while *now < until {
        let mut moved = false;
        for side in 0..2 {
            for packet in ends[side].output(*now) {
                moved = true;
                let (copies, late) = fate();
                for _ in 0..copies {
                    let inbox = &mut ends[1 - side].inbox;
                    if late { inbox.push_back(packet.clone()) } else { inbox.push_front(packet.clone()) }
                }
            }
        }
        *now += MS;
        for end in ends.iter_mut() {
            for _ in 0..end.inbox.len().min(8) {
                moved = true;
                let packet = end.inbox.pop_front().unwrap();
                assert!(end.input(packet, *now).is_none());
            }
            end.read(*now);
        }
        if !moved {
            let next = ends.iter().filter_map(|end| end.tcb.deadline()).min();
            let Some(next) = next.filter(|next| *next < until) else { return };
            *now = (*now).max(next);
        }
        for end in ends.iter_mut() {
            if end.tcb.deadline().is_some_and(|at| at <= *now) {
                end.tcb.on_timer(*now);
            }
        }
    }
}

fn reliable() -> (usize, bool) {
    (1, true)
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| ((n * 31) >> 4) as u8).collect()
}

#[test]
fn data_both_ways_and_an_orderly_end() {
    let [a, b] = &mut pair(CONFIG);
    a.tcb.write(text(2500).into());
    let sent = a.output(0);
    assert_eq!(sent.iter().map(|p| p.1.len()).collect::<Vec<_>>(), [1000, 1000], "Nagle holds the rest back");
    for packet in sent {
        b.input(packet, MS);
    }
    let acks = b.output(MS);
    assert_eq!(acks.len(), 1, "one ACK for two segments");
    a.input(acks[0].clone(), 2 * MS);
    let rest = a.output(2 * MS);
    assert_eq!((rest.len(), rest[0].1.len()), (1, 500));
    assert!(rest[0].0.flags.contains(Flags::PSH));
    b.input(rest[0].clone(), 3 * MS);
    let early = b.output(3 * MS);
    assert_eq!(early.len(), 1, "at first an ACK does not wait");
    a.input(early[0].clone(), 3 * MS);
    b.tcb.write(vec![1].into());
    let reply = b.output(4 * MS);
    assert_eq!((reply.len(), reply[0].1.len()), (1, 1));
    a.input(reply[0].clone(), 5 * MS);
    b.read(5 * MS);
    assert_eq!(b.received, text(2500));
    a.tcb.write(vec![3].into());
    for packet in a.output(5 * MS) {
        b.input(packet, 5 * MS);
    }
    assert!(b.output(5 * MS).is_empty(), "where answers go both ways an ACK waits for company");
    b.read(5 * MS);

    a.tcb.close_write();
    assert_eq!(a.tcb.state(), State::FinWait1);
    let fin = a.output(6 * MS);
    assert!(fin[0].0.flags.contains(Flags::FIN));
    b.input(fin[0].clone(), 7 * MS);
    assert_eq!(b.tcb.state(), State::CloseWait);
    assert!(b.tcb.read_ended() && b.tcb.take_events().contains(Events::ENDED));
    for packet in b.output(7 * MS) {
        a.input(packet, 8 * MS);
    }
    assert_eq!(a.tcb.state(), State::FinWait2);
    assert!(a.output(8 * MS).is_empty(), "a FIN that has arrived is not due again");
    b.tcb.write(vec![2].into());
    for packet in b.output(8 * MS) {
        a.input(packet, 8 * MS);
    }
    a.tcb.on_timer(60 * MS);
    let acks = a.output(60 * MS);
    assert!(acks.len() == 1 && acks[0].0.flags == Flags::ACK, "{acks:?}");
    for packet in acks {
        b.input(packet, 60 * MS);
    }
    b.tcb.close_write();
    for packet in b.output(9 * MS) {
        a.input(packet, 9 * MS);
    }
    assert_eq!(a.tcb.state(), State::TimeWait);
    for packet in a.output(9 * MS) {
        b.input(packet, 10 * MS);
    }
    assert_eq!(b.tcb.state(), State::Closed);
    assert_eq!(b.tcb.error(), None);
    a.tcb.on_timer(10 * MS + TIME_WAIT);
    assert_eq!(a.tcb.state(), State::Closed);
}

#[test]
fn arrives_whole_whatever_the_network_does() {
    for seed in 1..60u64 {
        let mut random = seed;
        let mut next = || {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize
        };
        let mut ends = pair(CONFIG);
        let data = text(200_000 + next() % 5000);
        let mut written = 0;
        let mut now = 3 * MS;
        let mut steps = 0;
        while ends[1].received.len() < data.len() || !ends[1].tcb.read_ended() {
            while written < data.len() && ends[0].tcb.room() > 0 {
                let n = (1 + next() % 7000).min(data.len() - written);
                ends[0].tcb.write(data[written..written + n].to_vec().into());
                written += n;
            }
            if written == data.len() {
                ends[0].tcb.close_write();
            }
            let until = now + 50 * MS;
            run(&mut ends, &mut now, until, &mut || match next() % 20 {
                0 | 1 => (0, false),
                2 => (2, true),
                3 => (1, false),
                _ => (1, true),
            });
            now = now.max(until);
            steps += 1;
            assert!(steps < 100_000, "seed {seed} hangs with {} of {}", ends[1].received.len(), data.len());
        }
        assert!(ends[1].received == data, "seed {seed}");
    }
}

#[test]
fn a_reader_that_sleeps_closes_the_window_and_probes_go_on() {
    let mut ends = pair(Config { limits: Limits { receive: 4000, receive_max: 4000, send: 64 << 10 }, ..CONFIG });
    ends[0].tcb.write(text(10_000).into());
    let mut now = 3 * MS;
    for _ in 0..20 {
        for packet in ends[0].output(now) {
            ends[1].input(packet, now);
        }
        for packet in ends[1].output(now) {
            ends[0].input(packet, now);
        }
    }
    assert_eq!(ends[1].tcb.readable(), 4000);
    for _ in 0..30 {
        now = ends[0].tcb.deadline().expect("the window is asked after");
        ends[0].tcb.on_timer(now);
        for packet in ends[0].output(now) {
            assert_eq!(packet.1.len(), 0);
            ends[1].input(packet, now);
        }
        for packet in ends[1].output(now) {
            ends[0].input(packet, now);
        }
    }
    assert_eq!(ends[0].tcb.state(), State::Established, "a closed window is not a dead peer");
    let until = now + 300 * SECOND;
    run(&mut ends, &mut now, until, &mut reliable);
    assert_eq!(ends[1].received, text(10_000));
}

#[test]
fn resets() {
    let [a, b] = &mut pair(CONFIG);
    let reset = a.tcb.abort().unwrap();
    assert!(b.input((Header { seq: reset.seq + 1, ..reset.clone() }, vec![]), MS).is_none());
    assert_eq!(b.tcb.state(), State::Established, "a RST beside the mark is challenged");
    assert_eq!(b.output(MS).len(), 1);
    b.input((reset, vec![]), MS);
    assert_eq!((b.tcb.state(), b.tcb.take_error()), (State::Closed, Some(Error::Reset)));

    let mut c = Tcb::connect((1, 2), Seq(9), CONFIG, Settings::default(), 0);
    let syn = c.poll_transmit(0, 1000, 8).unwrap().header;
    let refusal = reset_for(&syn, 0).unwrap();
    c.receive(&refusal, Bytes::default(), MS);
    assert_eq!(c.take_error(), Some(Error::Refused));
    assert!(reset_for(&refusal, 0).is_none());
}

#[test]
fn unread_bytes_and_late_ones_reset_the_sender() {
    let [a, b] = &mut pair(CONFIG);
    a.tcb.write(vec![1].into());
    for packet in a.output(0) {
        b.input(packet, 0);
    }
    assert!(b.tcb.release(0));

    let [a, b] = &mut pair(CONFIG);
    assert!(!b.tcb.release(0));
    for packet in b.output(0) {
        a.input(packet, 0);
    }
    a.tcb.write(vec![1].into());
    let late = a.output(MS).pop().unwrap();
    let reset = b.input(late, MS).expect("nobody reads this");
    a.input((reset, vec![]), MS);
    assert_eq!(a.tcb.take_error(), Some(Error::BrokenPipe));
}

#[test]
fn gives_up_on_the_dead() {
    let mut tcb = Tcb::connect((1, 2), Seq(9), CONFIG, Settings::default(), 0);
    let mut sent = 0;
    while tcb.state() != State::Closed {
        sent += usize::from(tcb.poll_transmit(tcb.deadline().unwrap_or(0), 1000, 8).is_some());
        let now = tcb.deadline().unwrap();
        tcb.on_timer(now);
    }
    assert_eq!((sent, tcb.take_error()), (7, Some(Error::TimedOut)));

    let [a, _] = &mut pair(CONFIG);
    a.tcb.settings.keep_alive = true;
    a.tcb.settings_changed(0);
    let mut probes = 0;
    let mut last = 0;
    while a.tcb.state() != State::Closed {
        last = a.tcb.deadline().unwrap();
        a.tcb.on_timer(last);
        probes += a.output(last).len();
    }
    assert_eq!((probes, last / SECOND), (9, 7200 + 9 * 75));
    assert_eq!(a.tcb.take_error(), Some(Error::TimedOut));
}

#[test]
fn three_duplicates_bring_the_lost_segment_back_at_once() {
    let [a, b] = &mut pair(CONFIG);
    a.tcb.write(text(6000).into());
    let mut packets = a.output(3 * MS);
    assert_eq!(packets.len(), 6);
    packets.remove(0);
    let mut again = Vec::new();
    for packet in packets {
        b.input(packet, 4 * MS);
        for ack in b.output(4 * MS) {
            assert!(!ack.0.options.sack.is_empty());
            a.input(ack, 5 * MS);
            again.extend(a.output(5 * MS));
        }
    }
    assert_eq!(again.len(), 1);
    b.input(again.remove(0), 6 * MS);
    assert_eq!(b.tcb.readable(), 6000);
}

#[test]
fn corks_and_no_delay() {
    let [a, _] = &mut pair(CONFIG);
    a.tcb.settings.cork = true;
    a.tcb.write(vec![1; 1500].into());
    assert_eq!(a.output(0).len(), 1);
    let at = a.tcb.deadline().unwrap();
    assert_eq!(at, 200 * MS);
    a.tcb.on_timer(at);
    assert_eq!(a.output(at).iter().map(|p| p.1.len()).sum::<usize>(), 500, "a cork gives way in the end");

    let [a, _] = &mut pair(CONFIG);
    a.tcb.settings.no_delay = true;
    for _ in 0..3 {
        a.tcb.write(vec![1].into());
        assert_eq!(a.output(0).len(), 1);
    }
}

#[test]
fn what_was_read_is_acknowledged() {
    // Nagle's rule holds back the next small piece until then.
    let mut ends = pair(CONFIG);
    let mut now = 3 * MS;
    for round in 0..100 {
        now += MS;
        ends[0].tcb.write(vec![round].into());
        settle(&mut ends, now);
        assert_eq!(ends[1].tcb.readable(), 1, "round {round}");
        ends[1].read(now);
        settle(&mut ends, now);
    }
    // Where answers go the other way, they take it along.
    ends[1].tcb.write(vec![1].into());
    settle(&mut ends, now);
    ends[0].tcb.write(vec![2].into());
    settle(&mut ends, now);
    ends[1].read(now);
    assert!(ends[1].output(now).is_empty());
    // But of two pieces, the second tells that the other side does not wait for one.
    ends[0].tcb.settings.no_delay = true;
    ends[0].tcb.write(vec![3].into());
    settle(&mut ends, now);
    ends[1].read(now);
    assert_eq!(ends[1].output(now).len(), 1);
}

#[test]
fn little_is_promised_while_memory_is_short() {
    let [a, b] = &mut pair(CONFIG);
    b.tcb.set_short(true);
    a.tcb.write(text(60_000).into());
    for _ in 0..100 {
        for packet in a.output(0) {
            b.input(packet, 0);
        }
        for packet in b.output(0) {
            a.input(packet, 0);
        }
    }
    // What was promised before is kept; nothing is added.
    assert!(b.tcb.held() <= 64 << 10);
    b.tcb.consume(b.tcb.readable(), 0);
    b.tcb.write(text(20_000).into());
    assert_eq!(b.tcb.room(), 0);
    b.tcb.set_short(false);
    assert!(b.tcb.room() > 0);
}

#[test]
fn cookies() {
    let flow = Flow { local: "10.0.0.1:80".parse().unwrap(), remote: "10.0.0.2:1000".parse().unwrap() };
    let key = Key(1, 2);
    let options = Options { mss: Some(1460), window_scale: Some(7), ..Options::default() };
    let syn =
        Header { source: 1000, destination: 80, seq: Seq(5), flags: Flags::SYN, window: 1000, options, ..Header::default() };
    let sent = cookie(key, &flow, &syn, 0).syn_ack((80, 1000), 1460, 1 << 20);
    assert_eq!(sent.options.window_scale, None);
    let ack = Header { seq: Seq(6), ack: sent.seq + 1, flags: Flags::ACK, ..syn.clone() };
    assert_eq!(from_cookie(key, &flow, &ack, 70 * SECOND).unwrap().mss, Some(1460));
    assert!(from_cookie(key, &flow, &ack, 200 * SECOND).is_none(), "too old");
    assert!(from_cookie(Key(1, 3), &flow, &ack, 0).is_none());
    let forged = Header { ack: ack.ack + 8, ..ack };
    assert!(from_cookie(key, &flow, &forged, 0).is_none());
}

#[test]
fn nonsense_is_survived() {
    let mut random = 1u64;
    let mut next = || {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 32) as u32
    };
    for _ in 0..300 {
        let [mut a, _] = pair(CONFIG);
        a.tcb.write(text(3000).into());
        let mut now = 3 * MS;
        for _ in 0..200 {
            let header = Header {
                source: 80,
                destination: 1000,
                seq: (Seq(78) + next() % 70_000).back(next() % 100),
                ack: Seq(u32::MAX - 5) + next() % 5000,
                flags: Flags::from_bits_truncate(next() as u8 & !if next() % 8 > 0 { 4 } else { 0 }),
                window: next() as u16,
                urgent: next() as u16,
                options: Options { mss: Some(next() as u16), window_scale: Some(next() as u8 % 15), ..Options::default() },
            };
            let _ = a.input((header, vec![7; next() as usize % 1500]), now);
            a.output(now);
            if next() % 4 == 0 {
                a.read(now);
            }
            if next() % 16 == 0 {
                a.tcb.close_write();
            }
            now += u64::from(next()) % SECOND;
            if a.tcb.deadline().is_some_and(|at| at <= now) {
                a.tcb.on_timer(now);
            }
            assert!(a.tcb.held() <= (64 << 10) + (1 << 20));
        }
    }
}

#[test]
fn no_router_makes_segments_too_small_for_their_options() {
    let [mut a, mut b] = pair(CONFIG);
    b.tcb.write(vec![7; 3000].into());
    let segments = b.output(2 * MS);
    // The first is lost, so that what is sent back has options.
    for packet in segments.into_iter().skip(1) {
        a.input(packet, 3 * MS);
    }
    assert!(a.tcb.narrow(16));
    a.tcb.write(vec![8; 200].into());
    let sent = a.output(4 * MS);
    assert!(!sent.is_empty() && sent.iter().all(|(header, _)| !header.options.sack.is_empty()));
    assert!(a.tcb.segment_size() > 40);
}

/// Hands over all that each side has to send until both are quiet.
fn settle(ends: &mut [End; 2], now: Instant) {
    loop {
        let [a, b] = ends;
        let packets = [a.output(now), b.output(now)];
        if packets.iter().all(Vec::is_empty) {
            return;
        }
        for (to, from) in [(1, 0), (0, 1)] {
            for packet in &packets[from] {
                assert_eq!(ends[to].input(packet.clone(), now), None);
            }
        }
    }
}

#[test]
fn both_sides_open_at_once() {
    let open = |ports, iss| End::new(Tcb::connect(ports, iss, CONFIG, Settings::default(), 0));
    let mut ends = [open((1000, 80), Seq(5)), open((80, 1000), Seq(u32::MAX))];
    settle(&mut ends, MS);
    for end in &mut ends {
        assert_eq!(end.tcb.state(), State::Established);
        end.tcb.write(text(2500).into());
    }
    settle(&mut ends, 2 * MS);
    for end in &mut ends {
        end.read(2 * MS);
        assert_eq!(end.received, text(2500));
    }
}

#[test]
fn a_socket_connects_to_itself() {
    let mut end = End::new(Tcb::connect((1000, 1000), Seq(5), CONFIG, Settings::default(), 0));
    for round in 0..3 {
        for packet in end.output(MS) {
            assert_eq!(end.input(packet, MS), None, "round {round}");
        }
    }
    assert_eq!(end.tcb.state(), State::Established);
    end.tcb.write(text(100).into());
    for packet in end.output(MS) {
        end.input(packet, MS);
    }
    end.read(MS);
    assert_eq!(end.received, text(100));
    end.tcb.close_write();
    for _ in 0..3 {
        for packet in end.output(MS) {
            end.input(packet, MS);
        }
    }
    assert!(matches!(end.tcb.state(), State::TimeWait | State::Closing), "{:?}", end.tcb.state());
}

#[test]
fn an_urgent_byte_stands_beside_the_others() {
    let mut ends = pair(CONFIG);
    ends[0].tcb.write(b"ab!".to_vec().into());
    ends[0].tcb.mark_urgent();
    ends[0].tcb.write(b"cd".to_vec().into());
    settle(&mut ends, 2 * MS);
    let tcb = &mut ends[1].tcb;
    assert!(tcb.take_events().contains(Events::URGENT | Events::READABLE) && tcb.has_urgent());
    assert_eq!((tcb.readable(), tcb.readable_to_mark(), tcb.at_mark(0)), (5, 2, false));
    assert_eq!(tcb.take_urgent(true), Ok(Some(b'!')));
    assert_eq!(tcb.take_urgent(false), Ok(Some(b'!')));
    assert_eq!(tcb.take_urgent(false), Err(()));
    assert_eq!(&*tcb.peek(0).unwrap(), b"ab");
    tcb.consume(2, 2 * MS);
    assert!(tcb.at_mark(0));
    assert_eq!((tcb.readable(), tcb.readable_to_mark()), (2, 0));
    assert_eq!(&*tcb.peek(0).unwrap(), b"cd");
    tcb.consume(2, 2 * MS);
    assert_eq!((tcb.readable(), tcb.at_mark(0)), (0, false));
}

#[test]
fn an_urgent_byte_in_line() {
    let mut ends = pair(CONFIG);
    ends[1].tcb.set_urgent_inline(true);
    ends[0].tcb.write(b"ab!".to_vec().into());
    ends[0].tcb.mark_urgent();
    settle(&mut ends, 2 * MS);
    let tcb = &mut ends[1].tcb;
    assert_eq!(tcb.take_urgent(false), Err(()));
    assert_eq!(&*tcb.peek(0).unwrap(), b"ab");
    tcb.consume(2, 2 * MS);
    assert!(tcb.at_mark(0));
    assert_eq!(&*tcb.peek(0).unwrap(), b"!");
    tcb.consume(1, 2 * MS);
    assert!(!tcb.at_mark(0) && tcb.readable() == 0);
}
