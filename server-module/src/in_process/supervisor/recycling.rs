//! Workers are replaced: the new one is ready before the old one is told to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::life::{Order, Over};
use super::super::looks::{self, Files};
use super::super::program::Program;
use super::{Member, Phase, Supervisor};

/// How long after a replacement that has failed nothing is replaced but on demand.
const PAUSE: Duration = Duration::from_secs(60);

/// The same if the old one has a socket that no client reaches any more: clients wait.
const STRANDED_PAUSE: Duration = Duration::from_secs(5);

/// How long the options may take to be read.
const READING: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Replaces all workers.
    pub(super) async fn recycle(&mut self, reply: Option<oneshot::Sender<Result<(), String>>>) {
        if let Err(error) = self.read_again().await {
            let application = &self.program.options.name;
            tracing::error!(
                application,
                error,
                "the application is not recycled, since its options cannot be read"
            );
            if let Some(reply) = reply {
                let _ = reply.send(Err(error));
            }
            return;
        }
        self.files = Files::of(&self.program.options);
        // Whoever asks for it has changed something.
        self.failures.forget();
        let was_disabled = self.disabled_until.take().is_some();
        let old = self.members.iter().filter(|(_, member)| member.is_serving() && member.replaces.is_none());
        let mut old: Vec<_> = old.map(|(id, _)| *id).collect();
        // There may be others than before, and as many as the options say now.
        let wanted = self.program.options.settings.processes_per_application as usize;
        for surplus in old.split_off(wanted.min(old.len())) {
            self.order(surplus, Order::Retire);
        }
        self.recycling.first_new = self.next;
        // One that had failed too often is started, so that whoever asks hears whether it works now.
        if self.is_active || (was_disabled && reply.is_some()) {
            self.activate();
        }
        self.recycling.asking.extend(reply);
        self.enqueue(old);
    }

    /// Replaces the workers that have other sockets than those that clients reach, by others of the same options; those
    /// among them that are about to take the place of one. After a failure it is tried again.
    pub(super) fn replace_stranded(&mut self) {
        if self.has_failed_within(STRANDED_PAUSE) {
            return;
        }
        let sockets = self.program.sockets();
        let is_stranded = |id: u64, member: &Member| {
            member.is_serving() && !member.sockets.are(sockets) && !self.is_replaced(id)
        };
        let old = self.members.iter().filter(|(id, member)| is_stranded(**id, member));
        let old: Vec<_> = old.map(|(id, _)| *id).collect();
        if !old.is_empty() {
            self.enqueue(old);
        }
    }

    /// Whether another is about to take its place.
    fn is_replaced(&self, id: u64) -> bool {
        self.members.values().any(|other| other.replaces == Some(id))
    }

    fn has_failed_within(&self, pause: Duration) -> bool {
        self.recycling.failed_at.is_some_and(|time| time.elapsed() < pause)
    }

    fn enqueue(&mut self, old: Vec<u64>) {
        for id in old {
            if !self.recycling.waiting.contains(&id) {
                self.recycling.waiting.push_back(id);
            }
        }
        self.replace_next();
    }

    async fn read_again(&mut self) -> Result<(), String> {
        let Some(refresh) = self.refresh.clone() else { return Ok(()) };
        let reading = tokio::task::spawn_blocking(move || refresh());
        let options = match tokio::time::timeout(READING, reading).await {
            Ok(Ok(options)) => options.map_err(|error| error.to_string())?,
            Ok(Err(panic)) => return Err(panic.to_string()),
            Err(_) => return Err(format!("they could not be read within {READING:?}")),
        };
        self.failures.set_limit(options.settings.rapid_fails_per_minute);
        let sockets = Arc::clone(self.program.sockets());
        let program = Program::new(options, &self.given, sockets).map_err(|error| error.to_string())?;
        self.program = Arc::new(program);
        Ok(())
    }

    /// Goes on with the next worker that is to be replaced, unless one is being replaced; answers when none is left and
    /// nobody starts any more.
    pub(super) fn replace_next(&mut self) {
        if self.members.values().any(|member| member.replaces.is_some()) {
            return;
        }
        while let Some(old) = self.recycling.waiting.pop_front() {
            if self.members.get(&old).is_some_and(Member::is_serving) {
                return self.begin(Some(old));
            }
        }
        if !self.members.values().any(|member| member.phase == Phase::Starting) {
            self.answer(&Ok(()));
        }
    }

    /// A new worker has failed, and the one that it was to replace goes on.
    pub(super) fn keep_old(&mut self, new: &Member, over: &Over) {
        let application = &self.program.options.name;
        let output = match over {
            Over::Ended { output, .. } => output.as_str(),
            _ => "",
        };
        tracing::error!(application, pid = new.pid(), reason = %over, output, "the application is not recycled: the new worker has failed, and the old one stays");
        self.recycling.waiting.clear();
        self.recycling.failed_at = Some(Instant::now());
        self.answer(&Err(format!(
            "the new worker has failed, and the old one stays: {}",
            over.with_output()
        )));
    }

    pub(super) fn answer(&mut self, answer: &Result<(), String>) {
        for asking in self.recycling.asking.drain(..) {
            let _ = asking.send(answer.clone());
        }
    }

    /// Looks whether something has to be replaced by itself.
    pub(super) async fn look(&mut self) {
        let options = self.program.options.recycle;
        if options.on_file_change && self.files.have_changed() {
            let application = &self.program.options.name;
            tracing::info!(
                application,
                "the program or its web.config has changed; the application is recycled"
            );
            return self.recycle(None).await;
        }
        if self.has_failed_within(PAUSE) {
            return;
        }
        let mut old = Vec::new();
        for (id, member) in &self.members {
            let (Phase::Ready(since), Some((_, guard))) = (member.phase, member.process) else { continue };
            let reason = looks::reason(&options, guard, since).filter(|_| !self.is_replaced(*id));
            if let Some(reason) = reason.filter(|_| !self.recycling.waiting.contains(id)) {
                let application = &self.program.options.name;
                tracing::info!(application, pid = member.pid(), reason, "a worker is replaced");
                old.push(*id);
            }
        }
        if !old.is_empty() {
            self.enqueue(old);
        }
    }
}
