//! Workers are replaced: the new one is ready before the old one is told to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::life::Over;
use super::super::looks::{self, Files};
use super::super::program::Program;
use super::{Member, Phase, Supervisor};

/// How long after a replacement that has failed nothing is replaced but on demand.
const PAUSE: Duration = Duration::from_secs(60);

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
        if self.disabled_until.take().is_some() && self.is_active {
            self.activate();
        }
        let old = self.members.iter().filter(|(_, member)| member.is_serving() && member.replaces.is_none());
        let old: Vec<_> = old.map(|(id, _)| *id).collect();
        self.recycling.asking.extend(reply);
        self.enqueue(old);
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

    /// Goes on with the next worker that is to be replaced, unless one is being replaced; answers when none is left.
    pub(super) fn replace_next(&mut self) {
        if self.members.values().any(|member| member.replaces.is_some()) {
            return;
        }
        while let Some(old) = self.recycling.waiting.pop_front() {
            if self.members.get(&old).is_some_and(Member::is_serving) {
                return self.begin(Some(old));
            }
        }
        self.answer(&Ok(()));
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
        self.recycling.not_before = Some(Instant::now() + PAUSE);
        self.answer(&Err(format!("the new worker has failed, and the old one stays: {over}")));
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
        if self.recycling.not_before.is_some_and(|time| Instant::now() < time) {
            return;
        }
        let mut old = Vec::new();
        for (id, member) in &self.members {
            let (Phase::Ready(since), Some((_, guard))) = (member.phase, member.process) else { continue };
            let is_replaced = self.members.values().any(|other| other.replaces == Some(*id));
            let reason = looks::reason(&options, guard, since).filter(|_| !is_replaced);
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
