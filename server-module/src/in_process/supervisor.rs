//! Keeps the workers of one application.

mod recycling;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hosting::BoundEndpoint;
use rustix::process::Pid;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::failures::Failures;
use super::life::{Life, News, Order, Over};
use super::looks::Files;
use super::program::Program;
use super::view::{Seen, View};
use super::{Command, Refresh, queue};
use crate::ApplicationState;
use crate::config::GivenEndpoints;

pub(super) struct Supervisor {
    program: Arc<Program>,
    given: GivenEndpoints,
    refresh: Option<Refresh>,
    /// Keeps the sockets, and removes the files of Unix sockets.
    bound: Vec<BoundEndpoint>,
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
}

/// A worker.
struct Member {
    process: Option<(Pid, Pid)>,
    phase: Phase,
    orders: watch::Sender<Order>,
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
    /// After a replacement that has failed nothing is replaced for a while but on demand.
    not_before: Option<Instant>,
}

/// How often files, memory and age are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The news that may wait to be heard.
const NEWS: usize = 64;

/// What the supervisor waits for.
enum Event {
    Command(Option<Command>),
    News(u64, News),
    Connection(std::io::Result<()>),
    MayStart,
    Look,
    /// A life is over.
    Nothing,
}

impl Supervisor {
    pub(super) fn new(
        program: Program,
        given: GivenEndpoints,
        bound: Vec<BoundEndpoint>,
        commands: mpsc::Receiver<Command>,
        view: Arc<Mutex<View>>,
    ) -> Self {
        let (teller, news) = mpsc::channel(NEWS);
        Self {
            failures: Failures::new(program.options.settings.rapid_fails_per_minute),
            files: Files::of(&program.options),
            program: Arc::new(program),
            given,
            refresh: None,
            bound,
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
        loop {
            match self.event(&mut looks).await {
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
                Event::Nothing => {}
            }
            self.show();
        }
    }

    async fn event(&mut self, looks: &mut tokio::time::Interval) -> Event {
        let sockets = Arc::clone(self.program.sockets());
        let waits = !self.is_active && self.disabled_until.is_none();
        let disabled = self.disabled_until;
        let recycle = self.program.options.recycle;
        let is_looked_at = recycle != crate::RecycleOptions::default();
        tokio::select! {
            command = self.commands.recv() => Event::Command(command),
            Some((id, news)) = self.news.recv() => Event::News(id, news),
            connection = queue::connection(&sockets), if waits => Event::Connection(connection),
            () = sleep_until(disabled.unwrap_or_else(Instant::now)), if disabled.is_some() => {
                self.disabled_until = None;
                // With other workers there, it is not for a connection to say whether those that are missing are started.
                if self.is_active { Event::MayStart } else { Event::Nothing }
            }
            _ = looks.tick(), if is_looked_at => Event::Look,
            Some(_) = self.lives.join_next() => Event::Nothing,
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
        self.members.insert(id, Member { process: None, phase: Phase::Starting, orders, replaces });
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
                let replaced = member.replaces.take();
                let pid = member.pid();
                tracing::info!(application, pid, "a worker is ready");
                if let Some(old) = replaced {
                    self.order(old, Order::Retire);
                    self.replace_next();
                }
            }
            News::Stopping => {
                let pid = member.pid();
                member.phase = Phase::Leaving;
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
            News::Over(over) => self.bury(id, &over),
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
            if member.replaces.is_some() {
                self.replace_next();
            }
            return;
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
        }
        let others = self.members.values().any(Member::is_serving);
        if let Some(until) = self.failures.count(Instant::now()) {
            self.disabled_until = Some(until);
            self.is_active = others;
            let wait = until.saturating_duration_since(Instant::now());
            tracing::error!(
                application,
                limit = self.program.options.settings.rapid_fails_per_minute,
                ?wait,
                "too many workers have failed within a minute (rapidFailsPerMinute); none is started until it is over, and clients wait; correct the application, then recycle it"
            );
        } else if is_clean && !others {
            self.is_active = false;
        } else if self.is_active {
            self.activate();
        }
    }

    /// Ends everything; the sockets first, so that nobody waits for what does not come.
    async fn stop(mut self) {
        let answer = Err("it is stopped".to_owned());
        self.answer(&answer);
        self.bound.clear();
        let ids: Vec<_> = self.members.keys().copied().collect();
        for id in ids {
            self.order(id, Order::Stop);
        }
        let view = Arc::clone(&self.view);
        lock(&view).state = ApplicationState::Stopping;
        let Self { program, mut lives, mut news, .. } = self;
        drop(program);
        loop {
            tokio::select! {
                Some(_) = news.recv() => {}
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
            let ready_since = match member.phase {
                Phase::Ready(since) => Some(since),
                _ => None,
            };
            Some(Seen { pid, guard, ready_since })
        });
        let mut view = self.view();
        view.state = state;
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
