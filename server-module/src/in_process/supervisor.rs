//! Keeps the workers of one application.

mod recycling;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::failures::Failures;
use super::life::{Life, News, Order, Over};
use super::listening::Listening;
use super::looks::Files;
use super::offline::OfflineFile;
use super::program::{GivenSockets, Program};
use super::view::{Seen, View};
use super::{Command, Refresh, queue};
use crate::config::GivenEndpoints;
use crate::{ApplicationState, WorkerState};

pub(super) struct Supervisor {
    program: Arc<Program>,
    given: GivenEndpoints,
    refresh: Option<Refresh>,
    /// Keeps the sockets, and removes the files of Unix sockets.
    bound: Listening,
    /// Whether a socket was made anew that the program does not have yet.
    owes_sockets: bool,
    commands: mpsc::Receiver<Command>,
    view: Arc<Mutex<View>>,
    members: BTreeMap<u64, Member>,
    next: u64,
    teller: mpsc::Sender<(u64, News)>,
    news: mpsc::Receiver<(u64, News)>,
    lives: JoinSet<()>,
    /// Whether workers are to be there; else the next connection starts them.
    is_active: bool,
    failures: Failures,
    /// Until when nothing is started, because too much has failed.
    disabled_until: Option<Instant>,
    recycling: Recycling,
    /// Whether the program is known to say when it is ready.
    says_ready: bool,
    files: Files,
    offline: OfflineFile,
}

/// A worker.
struct Member {
    process: Option<(Pid, Pid)>,
    phase: Phase,
    ready_since: Option<Instant>,
    orders: watch::Sender<Order>,
    sockets: GivenSockets,
    /// The worker whose place it takes when it is ready.
    replaces: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready(Instant),
    /// It ends, and takes no connections any more.
    Leaving,
}

/// Workers that are replaced, one after the other.
#[derive(Default)]
struct Recycling {
    waiting: VecDeque<u64>,
    asking: Vec<oneshot::Sender<Result<(), String>>>,
    /// The first worker that was started for whoever asks; the others are those that were there.
    first_new: u64,
    /// When a replacement has failed: for a while nothing is replaced but on demand.
    failed_at: Option<Instant>,
}

/// How often files, memory and age are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often is looked whether a worker has shut sockets down that others need, or somebody has removed the file of one.
const CHECK: Duration = Duration::from_secs(5);

/// The news that may wait to be heard.
const NEWS: usize = 64;

/// What the supervisor waits for.
enum Event {
    Command(Option<Command>),
    News(u64, News),
    Connection(std::io::Result<()>),
    MayStart,
    Look,
    /// Sockets are looked at.
    Check,
    /// A life is over.
    Nothing,
}

impl Supervisor {
    pub(super) fn new(
        program: Program,
        given: GivenEndpoints,
        bound: Listening,
        commands: mpsc::Receiver<Command>,
        view: Arc<Mutex<View>>,
    ) -> Self {
        let (teller, news) = mpsc::channel(NEWS);
        Self {
            failures: Failures::new(program.options.settings.rapid_fails_per_minute),
            files: Files::of(&program.options),
            offline: OfflineFile::of(&program.options),
            program: Arc::new(program),
            given,
            refresh: None,
            bound,
            owes_sockets: false,
            commands,
            view,
            members: BTreeMap::new(),
            next: 0,
            teller,
            news,
            lives: JoinSet::new(),
            is_active: false,
            disabled_until: None,
            recycling: Recycling::default(),
            says_ready: false,
        }
    }

    pub(super) fn refresh_by(&mut self, refresh: Refresh) {
        self.refresh = Some(refresh);
    }

    pub(super) async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checks = interval(CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.event(&mut looks, &mut checks).await {
                Event::Command(Some(Command::Recycle(reply))) => self.recycle(Some(reply)).await,
                Event::Command(Some(Command::Stop(reply))) => {
                    self.stop().await;
                    let _ = reply.send(());
                    return;
                }
                // Nobody can ask for anything any more.
                Event::Command(None) => return self.stop().await,
                Event::News(id, news) => self.hear(id, news),
                Event::Connection(Ok(())) | Event::MayStart => self.activate(),
                Event::Connection(Err(error)) => {
                    let application = &self.program.options.name;
                    tracing::error!(application, %error, "the sockets of the application cannot be watched; it is started without a connection");
                    self.activate();
                }
                Event::Look => self.look().await,
                Event::Check => self.check(),
                Event::Nothing => {}
            }
            self.show();
        }
    }

    async fn event(&mut self, looks: &mut Interval, checks: &mut Interval) -> Event {
        let sockets = Arc::clone(self.program.sockets());
        let waits = !self.is_active && self.disabled_until.is_none();
        let disabled = self.disabled_until;
        let recycle = self.program.options.recycle;
        let is_looked_at = recycle != crate::RecycleOptions::default();
        tokio::select! {
            // How a worker has ended is heard before it is told to: a stop would say that it has ended as it was told.
            biased;
            Some((id, news)) = self.news.recv() => Event::News(id, news),
            command = self.commands.recv() => Event::Command(command),
            connection = queue::connection(&sockets), if waits => Event::Connection(connection),
            () = sleep_until(disabled.unwrap_or_else(Instant::now)), if disabled.is_some() => {
                self.disabled_until = None;
                // With other workers there, it is not for a connection to say whether those that are missing are started.
                if self.is_active { Event::MayStart } else { Event::Nothing }
            }
            _ = looks.tick(), if is_looked_at => Event::Look,
            _ = checks.tick() => Event::Check,
            Some(_) = self.lives.join_next() => Event::Nothing,
            never = self.offline.watch() => match never {},
        }
    }

    /// Starts what is missing.
    fn activate(&mut self) {
        if self.disabled_until.is_some() {
            return;
        }
        self.is_active = true;
        let wanted = self.program.options.settings.processes_per_application as usize;
        let here = self.members.values().filter(|member| member.is_serving() && member.replaces.is_none());
        for _ in here.count()..wanted {
            self.begin(None);
        }
    }

    /// Starts a worker.
    fn begin(&mut self, replaces: Option<u64>) {
        let (orders, receiver) = watch::channel(Order::Serve);
        let id = self.next;
        self.next += 1;
        let mut life = Life::new(id, Arc::clone(&self.program), receiver, self.teller.clone());
        life.is_alone = !self.members.values().any(|member| matches!(member.phase, Phase::Ready(_)));
        life.says_ready = self.says_ready;
        let member = Member {
            process: None,
            phase: Phase::Starting,
            ready_since: None,
            orders,
            sockets: self.program.given_sockets(),
            replaces,
        };
        self.members.insert(id, member);
        self.lives.spawn(life.live());
        self.view().starts += 1;
    }

    fn hear(&mut self, id: u64, news: News) {
        let application = self.program.options.name.clone();
        let Some(member) = self.members.get_mut(&id) else { return };
        match news {
            News::Started { pid, guard } => {
                member.process = Some((pid, guard));
                tracing::info!(application, %pid, "a worker has been started");
            }
            News::SaysReady => self.says_ready = true,
            News::Ready => {
                if member.phase == Phase::Starting {
                    member.phase = Phase::Ready(Instant::now());
                }
                member.ready_since.get_or_insert_with(Instant::now);
                let replaced = member.replaces.take();
                let pid = member.pid();
                tracing::info!(application, pid, "a worker is ready");
                if let Some(old) = replaced {
                    self.order(old, Order::Retire);
                }
                self.replace_next();
            }
            News::Stopping => {
                let pid = member.pid();
                member.phase = Phase::Leaving;
                self.bound.listen_again();
                tracing::info!(
                    application,
                    pid,
                    "a worker stops by itself; the next connection starts another"
                );
                self.is_active = self.members.values().any(Member::is_serving);
                if self.is_active {
                    self.activate();
                }
            }
            News::Over(over) => {
                self.bound.listen_again();
                self.bury(id, &over);
            }
        }
    }

    /// Looks whether everybody can still connect.
    fn check(&mut self) {
        self.bound.listen_again();
        let is_replaced = self.bound.replace_lost();
        self.owes_sockets |= is_replaced;
        if !self.owes_sockets {
            return self.replace_stranded();
        }
        match self.bound.descriptors() {
            Ok(sockets) => {
                self.program = Arc::new(self.program.with_sockets(Arc::new(sockets)));
                self.owes_sockets = false;
                // What has failed before was not for the sake of this.
                self.recycling.failed_at = None;
                self.replace_stranded();
            }
            Err(error) if is_replaced => tracing::error!(
                application = self.program.options.name,
                error = &error as &dyn std::error::Error,
                "workers cannot be given a socket that was made anew, so that its clients wait; it is tried again every few seconds"
            ),
            Err(_) => {}
        }
    }

    /// Tells a worker to end.
    fn order(&mut self, id: u64, order: Order) {
        if let Some(member) = self.members.get_mut(&id) {
            member.phase = Phase::Leaving;
            member.orders.send_replace(order);
        }
    }

    /// A worker has ended.
    fn bury(&mut self, id: u64, over: &Over) {
        let Some(member) = self.members.remove(&id) else { return };
        // Whoever was to take its place has it now.
        self.members
            .values_mut()
            .filter(|other| other.replaces == Some(id))
            .for_each(|other| other.replaces = None);
        self.view().last_exit = Some(over.to_string());
        let (application, pid) = (self.program.options.name.clone(), member.pid());
        let was_told = *member.orders.borrow() != Order::Serve;
        if was_told {
            tracing::info!(application, pid, reason = %over, "a worker has ended");
            return self.replace_next();
        }
        self.view().failures += 1;
        if member.replaces.is_some() {
            return self.keep_old(&member, over);
        }
        let output = match over {
            Over::Ended { output, .. } => output.as_str(),
            _ => "",
        };
        let is_clean = matches!(over, Over::Ended { exit, was_ready: true, .. } if exit.code == Some(0));
        if is_clean {
            tracing::info!(application, pid, reason = %over, "a worker has ended by itself");
        } else {
            tracing::error!(application, pid, reason = %over, output, "a worker has failed");
            if id >= self.recycling.first_new {
                self.recycling.waiting.clear();
                self.answer(&Err(format!("the new worker has failed: {}", over.with_output())));
            }
        }
        let others = self.members.values().any(Member::is_serving);
        if let Some(until) = self.failures.count(Instant::now()) {
            self.disabled_until = Some(until);
            self.is_active = others;
            let seconds = until.saturating_duration_since(Instant::now()).as_secs();
            tracing::error!(
                application,
                limit = self.program.options.settings.rapid_fails_per_minute,
                seconds,
                "too many workers have failed within a minute (rapidFailsPerMinute); none is started until it is over, and clients wait; correct the application, then recycle it"
            );
        } else if is_clean && !others {
            self.is_active = false;
        } else if self.is_active {
            self.activate();
        }
        self.replace_next();
    }

    /// Ends everything; the sockets first, so that nobody waits for what does not come.
    async fn stop(mut self) {
        let answer = Err("it is stopped".to_owned());
        self.answer(&answer);
        self.bound.close();
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            self.order(id, Order::Stop);
        }
        self.show();
        let view = Arc::clone(&self.view);
        lock(&view).state = ApplicationState::Stopping;
        let Self { program, mut lives, mut news, members, .. } = self;
        let application = program.options.name.clone();
        drop(program);
        loop {
            tokio::select! {
                // A life tells how it has ended before it is over, so none goes unheard.
                biased;
                Some((id, news)) = news.recv() => if let News::Over(over) = news {
                    let pid = members.get(&id).and_then(Member::pid);
                    tracing::info!(application, pid, reason = %over, "a worker has ended");
                },
                ended = lives.join_next() => if ended.is_none() { break },
            }
        }
        let mut view = lock(&view);
        view.state = ApplicationState::Idle;
        view.workers.clear();
    }

    fn view(&self) -> std::sync::MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// Shows how it is.
    fn show(&self) {
        let mut is_ready = self.members.values().filter(|member| matches!(member.phase, Phase::Ready(_)));
        let state = if is_ready.next().is_some() {
            ApplicationState::Running
        } else if self.disabled_until.is_some() {
            ApplicationState::Disabled
        } else if self.members.values().any(|member| member.phase == Phase::Starting) {
            ApplicationState::Starting
        } else {
            ApplicationState::Idle
        };
        let workers = self.members.values().filter_map(|member| {
            let (pid, guard) = member.process?;
            let (state, ready_since) = match member.phase {
                Phase::Starting => (WorkerState::Starting, None),
                Phase::Ready(since) => (WorkerState::Running, Some(since)),
                Phase::Leaving => (WorkerState::Stopping, member.ready_since),
            };
            Some(Seen { pid, guard, state, ready_since })
        });
        let startup_limit = self.program.startup_limit();
        let mut view = self.view();
        view.state = state;
        view.startup_limit = startup_limit;
        view.workers = workers.collect();
    }
}

impl Member {
    /// Whether it takes connections, or is going to.
    fn is_serving(&self) -> bool {
        self.phase != Phase::Leaving
    }

    fn pid(&self) -> Option<i32> {
        self.process.map(|(pid, _)| pid.as_raw_pid())
    }
}

fn lock(view: &Mutex<View>) -> std::sync::MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}
