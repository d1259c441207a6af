//! Whom filters ask (`SECCOMP_FILTER_FLAG_NEW_LISTENER`): a call of which one says
//! `SECCOMP_RET_USER_NOTIF` waits until a supervisor, who has the filter's descriptor, says what
//! becomes of it.
//!
//! Requests stand in a list from the call until its thread goes on. The thread itself takes up what
//! it is told: also descriptors that the supervisor puts into its table, whose limits are its own.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inet::bpf::seccomp::Call;
use syscall_shim::{Errno, SysResult};

use crate::thread::Task;
use crate::wait::{WaitQueue, wait_killable, wait_until};
use fd::OpenFile;
use fd::poll::{PollQueue, ev, poll_queue};
use platform::rng;
use sync::SpinLock;

/// What a supervisor says of a call.
#[derive(Clone, Copy)]
pub enum Answer {
    /// It is made.
    Continue,
    /// It is not, and the caller finds this in rax.
    Value(i64),
}

fn failed(errno: Errno) -> Answer {
    Answer::Value(-i64::from(errno.0))
}

#[derive(Clone, Copy)]
enum Stage {
    /// Nobody has seen it.
    New,
    /// A supervisor has received it.
    Received,
    Answered(Answer),
}

/// A call that waits.
struct Request {
    id: u64,
    tid: i32,
    call: Call,
    stage: Stage,
    descriptors: VecDeque<Arc<Descriptor>>,
    /// Where its thread waits.
    thread: Arc<WaitQueue>,
}

/// A descriptor that a thread whose call waits is to have (`SECCOMP_IOCTL_NOTIF_ADDFD`).
pub struct Descriptor {
    /// What it is a descriptor of.
    pub file: Arc<OpenFile>,
    /// The number that it gets, or the lowest free one.
    pub number: Option<i32>,
    /// `FD_CLOEXEC`
    pub cloexec: bool,
    /// Whether its number is what the call answers, too.
    pub answers: bool,
    result: SpinLock<Option<SysResult<i32>>>,
    done: WaitQueue,
}

impl Descriptor {
    /// One that nobody has yet.
    pub fn new(file: Arc<OpenFile>, number: Option<i32>, cloexec: bool, answers: bool) -> Arc<Self> {
        Arc::new(Self { file, number, cloexec, answers, result: SpinLock::new(None), done: WaitQueue::new() })
    }

    /// Puts it into the table of the caller.
    fn install(&self, task: &Task) -> SysResult<i32> {
        let files = task.files()?;
        match self.number {
            Some(number) => files.replace(number, self.file.clone(), self.cloexec).map(|()| number),
            None => files.insert(self.file.clone(), self.cloexec),
        }
    }

    fn finish(&self, result: SysResult<i32>) {
        *self.result.lock() = Some(result);
        self.done.wake_all();
    }
}

struct State {
    /// Whether a supervisor is there.
    is_open: bool,
    /// Whether a thread has the filter.
    is_used: bool,
    /// How many calls have come that no supervisor was woken for.
    waiting: u64,
    next_id: u64,
    requests: Vec<Request>,
}

impl State {
    fn find(&mut self, id: u64) -> SysResult<&mut Request> {
        self.requests.iter_mut().find(|request| request.id == id).ok_or(Errno::ENOENT)
    }

    /// `EINPROGRESS` for a request that nobody has received, or that has its answer.
    fn received(&mut self, id: u64) -> SysResult<&mut Request> {
        let request = self.find(id)?;
        if matches!(request.stage, Stage::Received) { Ok(request) } else { Err(Errno::EINPROGRESS) }
    }
}

/// What a filter's calls and its supervisor share.
pub struct Notifier {
    /// Nothing is freed while it is held, and of queues only threads' are woken: whoever polls
    /// takes it.
    state: SpinLock<State>,
    /// Where supervisors wait and poll.
    queue: PollQueue,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: once received, only a signal that kills ends the
    /// wait.
    stays: bool,
}

/// What a waiting thread has to do next.
enum Step {
    Install(Arc<Descriptor>),
    Obey(Answer),
}

impl Notifier {
    /// For a new filter.
    pub fn new(stays: bool) -> Arc<Self> {
        let mut first = [0; 8];
        rng::fill(&mut first);
        let next_id = u64::from_le_bytes(first);
        let state = State { is_open: true, is_used: true, waiting: 0, next_id, requests: Vec::new() };
        Arc::new(Self { state: SpinLock::new(state), queue: poll_queue(), stays })
    }

    /// Asks what becomes of a call of `task`, the current one, and waits. A signal ends that, and
    /// the call begins anew.
    pub(super) fn ask(&self, task: &Task, call: &Call) -> Answer {
        let thread = Arc::new(WaitQueue::new());
        let id = {
            let mut state = self.state.lock();
            if !state.is_open {
                return failed(Errno::ENOSYS);
            }
            if state.requests.try_reserve(1).is_err() {
                return failed(Errno::ENOMEM);
            }
            let id = state.next_id;
            state.next_id = id.wrapping_add(1);
            state.waiting += 1;
            let thread = thread.clone();
            let (tid, call) = (task.tid(), *call);
            state.requests.push(Request { id, tid, call, stage: Stage::New, descriptors: VecDeque::new(), thread });
            id
        };
        self.queue.wake_key(ev::READABLE);
        let answer = self.wait(task, id, &thread);
        let left = {
            let mut state = self.state.lock();
            let place = state.requests.iter().position(|request| request.id == id);
            place.map(|place| state.requests.remove(place).descriptors)
        };
        for descriptor in left.into_iter().flatten() {
            descriptor.finish(Err(Errno::ESRCH));
        }
        answer
    }

    fn wait(&self, task: &Task, id: u64, thread: &WaitQueue) -> Answer {
        let mut stays = false;
        loop {
            let next = || self.next_step(id);
            let step = if stays { wait_killable(thread, next) } else { wait_until(&[thread], None, next) };
            match step {
                Ok(Step::Obey(answer)) => return answer,
                Ok(Step::Install(descriptor)) => {
                    let result = descriptor.install(task);
                    if descriptor.answers {
                        let stage = result.map_or(Stage::Received, |fd| Stage::Answered(Answer::Value(fd.into())));
                        if let Ok(request) = self.state.lock().find(id) {
                            request.stage = stage;
                        }
                    }
                    descriptor.finish(result);
                }
                Err(_) if !stays && self.stays && self.was_received(id) => stays = true,
                Err(_) => return failed(Errno::ERESTARTSYS),
            }
        }
    }

    fn next_step(&self, id: u64) -> Option<Step> {
        let mut state = self.state.lock();
        let request = state.find(id).ok()?;
        if let Some(descriptor) = request.descriptors.pop_front() {
            return Some(Step::Install(descriptor));
        }
        match request.stage {
            Stage::Answered(answer) => Some(Step::Obey(answer)),
            Stage::New | Stage::Received => None,
        }
    }

    fn was_received(&self, id: u64) -> bool {
        self.state.lock().find(id).is_ok_and(|request| !matches!(request.stage, Stage::New))
    }

    /// The last thread that had the filter has ended.
    pub(super) fn filter_is_gone(&self) {
        self.state.lock().is_used = false;
        self.queue.wake_key(ev::HUP);
    }

    /// No supervisor is left: calls that wait, and those to come, are not made (`ENOSYS`).
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_open = false;
        for request in state.requests.iter_mut().filter(|request| !matches!(request.stage, Stage::Answered(_))) {
            request.stage = Stage::Answered(failed(Errno::ENOSYS));
            request.thread.wake_all();
        }
    }

    /// `SECCOMP_IOCTL_NOTIF_RECV`: waits for a call, and takes it: its id, the thread and the call.
    /// `ENOENT` for one that has been given up since, and where no thread has the filter.
    pub fn receive(&self) -> SysResult<(u64, i32, Call)> {
        let come = || {
            let mut state = self.state.lock();
            if !state.is_used {
                return Some(());
            }
            state.waiting = state.waiting.checked_sub(1)?;
            Some(())
        };
        wait_until(&[&self.queue], None, come).map_err(|_| Errno::ERESTARTSYS)?;
        let taken = {
            let mut state = self.state.lock();
            let new = state.requests.iter_mut().find(|request| matches!(request.stage, Stage::New));
            let request = new.ok_or(Errno::ENOENT)?;
            request.stage = Stage::Received;
            (request.id, request.tid, request.call)
        };
        self.queue.wake_key(ev::WRITABLE);
        Ok(taken)
    }

    /// What was received could not be told: it is for the next who asks.
    pub fn put_back(&self, id: u64) {
        let mut state = self.state.lock();
        if let Ok(request) = state.received(id) {
            request.stage = Stage::New;
            state.waiting += 1;
        }
        drop(state);
        self.queue.wake_key(ev::READABLE);
    }

    /// `SECCOMP_IOCTL_NOTIF_SEND`. `ENOENT`, `EINPROGRESS`.
    pub fn answer(&self, id: u64, answer: Answer) -> SysResult<()> {
        let mut state = self.state.lock();
        let request = state.received(id)?;
        request.stage = Stage::Answered(answer);
        let thread = request.thread.clone();
        drop(state);
        thread.wake_all();
        Ok(())
    }

    /// `SECCOMP_IOCTL_NOTIF_ID_VALID`: whether the call still waits for its answer.
    pub fn is_valid(&self, id: u64) -> bool {
        self.state.lock().received(id).is_ok()
    }

    /// `SECCOMP_IOCTL_NOTIF_ADDFD`: has the thread take a descriptor; its number there. `ENOENT`,
    /// `EINPROGRESS`, `EBUSY`, and what the thread fails by.
    pub fn add_descriptor(&self, id: u64, descriptor: &Arc<Descriptor>) -> SysResult<i32> {
        let thread = {
            let mut state = self.state.lock();
            let request = state.received(id)?;
            if descriptor.answers && !request.descriptors.is_empty() {
                return Err(Errno::EBUSY);
            }
            request.descriptors.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            request.descriptors.push_back(descriptor.clone());
            if descriptor.answers {
                // The number is not known before the thread has it.
                request.stage = Stage::Answered(Answer::Value(0));
            }
            request.thread.clone()
        };
        thread.wake_all();
        match wait_until(&[&descriptor.done], None, || *descriptor.result.lock()) {
            Ok(result) => result,
            Err(_) => self.take_back(id, descriptor),
        }
    }

    /// A signal has ended the wait for a descriptor's number: the thread does not get it, unless it
    /// has it by now.
    fn take_back(&self, id: u64, descriptor: &Arc<Descriptor>) -> SysResult<i32> {
        let mut state = self.state.lock();
        if let Ok(request) = state.find(id)
            && let Some(place) = request.descriptors.iter().position(|other| Arc::ptr_eq(other, descriptor))
        {
            let taken = request.descriptors.remove(place);
            if descriptor.answers {
                request.stage = Stage::Received;
            }
            drop(state);
            drop(taken);
            return Err(Errno::ERESTARTSYS);
        }
        drop(state);
        let result = *descriptor.result.lock();
        result.unwrap_or(Err(Errno::ERESTARTSYS))
    }

    /// poll(2): calls to receive, calls to answer, nobody left to ask; and where that changes.
    pub fn poll(&self) -> (u32, &PollQueue) {
        let state = self.state.lock();
        let mut events = if state.is_used { 0 } else { ev::HUP };
        for request in &state.requests {
            match request.stage {
                Stage::New => events |= ev::READABLE,
                Stage::Received => events |= ev::WRITABLE,
                Stage::Answered(_) => {}
            }
        }
        (events, &self.queue)
    }
}
