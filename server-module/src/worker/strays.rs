//! Processes that a worker has left and whose guard was ended by somebody: the system gives them to the module, if that has
//! asked for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::getsid;
use procfs::process::Process;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use tokio::sync::mpsc::{UnboundedSender, WeakUnboundedSender};
use tokio::time::Instant;

use super::descendants::children_among_all;
use super::guard::KILL;

/// How many looks may find strays before they count as ones that do not end. Looks and not seconds: a module that the system
/// gives no processor for a while has not tried meanwhile.
const LOOKS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// How many looks in a row have to find none: one is not made at a single moment.
const EMPTY_LOOKS: u32 = 3;

/// Whether strays come here.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// The guards that are there, which are no strays.
static GUARDS: Mutex<Guards> = Mutex::new(Guards { there: BTreeMap::new(), is_over: false });

/// How long guards may take to end their workers at once.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long the end of a guard is waited for that the system was told to end.
const END: Duration = Duration::from_secs(2);

struct Guards {
    /// By the number of the process, and how it is told something, once it has started its worker.
    there: BTreeMap<i32, Option<WeakUnboundedSender<u8>>>,
    /// Whether none is started any more.
    is_over: bool,
}

/// A guard that is there.
#[derive(Debug)]
pub(super) struct Guarding(i32);

impl Guarding {
    /// Lets the guard be told something, as long as somebody else can.
    pub(super) fn is_told_by(&self, commands: &UnboundedSender<u8>) {
        guards().there.insert(self.0, Some(commands.downgrade()));
    }
}

impl Drop for Guarding {
    fn drop(&mut self) {
        guards().there.remove(&self.0);
    }
}

/// Asks for strays. All that the process has started and that is in another session counts as one, but for guards; so this
/// is for a process that does nothing else.
pub(super) fn take() {
    let is_asked = set_child_subreaper(Some(getpid())).is_ok();
    IS_ASKED.store(is_asked, Ordering::Release);
}

/// Starts a guard. Nobody ends a stray meanwhile, so it is not taken for one.
pub(super) fn start<T>(
    spawn: impl FnOnce() -> std::io::Result<T>,
    id: impl FnOnce(&T) -> Option<u32>,
) -> std::io::Result<(T, Option<Guarding>)> {
    let mut guards = guards();
    if guards.is_over {
        return Err(std::io::Error::other("the module ends, and starts nothing any more"));
    }
    let guard = spawn()?;
    let pid = id(&guard).map(u32::cast_signed);
    guards.there.extend(pid.map(|pid| (pid, None)));
    Ok((guard, pid.map(Guarding)))
}

/// Ends all workers at once, and lets none start from now on. This may block for as long as guards that hang may take, and the
/// runtime has to turn meanwhile.
pub(crate) fn end_all() {
    let told: Vec<_> = {
        let mut guards = guards();
        guards.is_over = true;
        guards.there.values().flatten().filter_map(WeakUnboundedSender::upgrade).collect()
    };
    for commands in told {
        let _ = commands.send(KILL);
    }
    if are_all_gone(AT_ONCE) {
        return;
    }
    // The system ends the workers of those with them, and what these leave falls to the module.
    for guard in guards().there.keys().copied().filter_map(Pid::from_raw) {
        let _ = kill_process(guard, Signal::KILL);
    }
    if !are_all_gone(END) {
        tracing::error!("processes of workers do not end; look for what they wait for");
    }
}

fn are_all_gone(limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while !guards().there.is_empty() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(PAUSE);
    }
    true
}

/// Ends the strays that are there, and those that come by that; false if they do not end. This may block for some seconds.
pub(super) fn end() -> bool {
    if !IS_ASKED.load(Ordering::Acquire) {
        return true;
    }
    let (mut empty_looks, mut looks) = (0, 0);
    while empty_looks < EMPTY_LOOKS {
        // Lists of children by thread lose some while others end, or while threads do.
        let children = children_among_all(getpid().as_raw_pid());
        let strays = children.into_iter().filter_map(Pid::from_raw).filter(|pid| end_stray(*pid)).count();
        if strays > 0 {
            (empty_looks, looks) = (0, looks + 1);
            if looks > LOOKS {
                return false;
            }
        } else {
            empty_looks += 1;
        }
        sleep(PAUSE);
    }
    true
}

/// Ends a process if it is a stray. A guard starts and is reaped with its name in the list, so what is a child here, and not
/// in the list, is nobody else's, and its number is its own.
fn end_stray(pid: Pid) -> bool {
    let guards = guards();
    if guards.there.contains_key(&pid.as_raw_pid()) || !is_in_another_session(pid) {
        return false;
    }
    let _ = kill_process(pid, Signal::KILL);
    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    true
}

/// Whether it is a child that is not in this session: what the process has started itself and told nobody is in it.
fn is_in_another_session(pid: Pid) -> bool {
    // It is 0 where the leader of the session is not to be seen, as in a container; `rustix` has no such number.
    let session = getsid(None).map(|session| session.as_raw()).ok();
    let stat = Process::new(pid.as_raw_pid()).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.ppid == getpid().as_raw_pid() && Some(stat.session) != session)
}

fn guards() -> MutexGuard<'static, Guards> {
    GUARDS.lock().unwrap_or_else(PoisonError::into_inner)
}
