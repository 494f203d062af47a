//! Carries out what the dispatcher decides: looks, reads the ledger, runs the loader, keeps the book.
//!
//! One task owns the dispatcher and the book; everyone else sends it messages and reads the picture
//! that it publishes.

mod ledger;
mod run;
mod trouble;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotfish_failure::Failure;
use pilotfish_loader::{Report, State, Status};
use pilotfish_runtime::{Process, Ready};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::api;
use crate::args::WatchConfig;
use crate::book::{Book, Scribe};
use crate::dispatcher::{Dispatcher, Input, Mark, Order, Refusal};
use crate::job::Job;
use crate::metrics::Metrics;
use crate::source::{Asker, Observer, Sighting};
use crate::view::{ObstacleView, ServerView, View, VolumeView, unix_now};
use ledger::LedgerRead;
use run::{Ended, Run};
use trouble::Said;

/// How often the ledger is read: soon until a release is live or while a load waits for it, then to
/// notice what others did.
const LEDGER_EARLY: Duration = Duration::from_secs(2);
/// What people do by hand, a rollback or a resume, must show while they still look. It costs the server
/// one short query.
const LEDGER_LATER: Duration = Duration::from_secs(5);

/// How often the picture of a running load is renewed.
const REFRESH: Duration = Duration::from_millis(500);

/// Requests to this task that may wait.
const INBOX: usize = 64;

/// What others ask of this task.
pub(crate) enum Message {
    /// A load; the answer is whether it was taken, by this call or one before it with the same id.
    Ask {
        id: String,
        release: Option<String>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// An end of a load.
    Cancel {
        id: String,
        reply: oneshot::Sender<()>,
    },
    /// No load any more.
    Drain,
}

/// Watches until the process is told to stop.
pub(crate) async fn run(config: WatchConfig, process: Process) -> Result<(), Failure> {
    let job = Arc::new(Job::new(config.server.clone(), config.options.clone()));
    let metrics = Metrics::register(&process.metrics)?;
    let ready = Ready::new("waiting for a look at the server's ledger");
    let (inbox, messages) = mpsc::channel(INBOX);
    let (publish, view) = watch::channel(Arc::new(View::default()));
    let door = api::Door {
        inbox,
        view,
        job: Arc::clone(&job),
        token_file: config.token_file.clone(),
        drain_timeout: config.drain_timeout,
        looks: Arc::new(Semaphore::new(api::STRANGERS_LOOKS)),
        ended: process.shutdown.clone(),
    };
    process
        .serve_admin(config.listen, ready.clone(), api::routes(door))
        .await?;
    let asker = Asker::default();
    let (sightings, seen) = mpsc::channel(8);
    tokio::spawn(Observer::new(&config, asker.clone(), sightings).run());
    let scribe = Scribe::default();
    let stop_scribe = CancellationToken::new();
    let writing = tokio::spawn(scribe.clone().write(Arc::clone(&job), stop_scribe.clone()));
    let control = Control::new(config, process, job, metrics, ready, asker, scribe, publish);
    control.live(messages, seen).await;
    stop_scribe.cancel();
    let _ = writing.await;
    Ok(())
}

struct Control {
    config: WatchConfig,
    process: Process,
    job: Arc<Job>,
    metrics: Metrics,
    ready: Ready,
    asker: Asker,
    scribe: Scribe,
    publish: watch::Sender<Arc<View>>,
    dispatcher: Dispatcher,
    book: Book,
    run: Option<Run>,
    volume: VolumeView,
    /// When the last look at the volume ended.
    looked_at: Instant,
    server: ServerView,
    /// What is live and whole, by database.
    live: Vec<Status>,
    /// What is live, but not whole.
    torn: Vec<Status>,
    /// Whether the book of the processes before was read.
    adopted: bool,
    /// What the log said last of the loads, and of the server.
    said_of_loads: Said,
    said_of_server: Said,
    started_at: u64,
}

impl Control {
    #[expect(clippy::too_many_arguments, reason = "the rooms this task connects")]
    fn new(
        config: WatchConfig,
        process: Process,
        job: Arc<Job>,
        metrics: Metrics,
        ready: Ready,
        asker: Asker,
        scribe: Scribe,
        publish: watch::Sender<Arc<View>>,
    ) -> Self {
        let started_at = unix_now();
        let jitter = || rand::random_range(0.75..1.25);
        // Two processes may start within one second, and in containers both have the pid 1.
        let prefix = format!("{started_at}-{:04x}", rand::random::<u16>());
        let dispatcher = Dispatcher::new(config.ask_timeout, prefix, jitter);
        let volume = VolumeView {
            path: config.path.display().to_string(),
            watching: if config.poll { "polling" } else { "events" },
            status: "not looked at yet".to_owned(),
            ..VolumeView::default()
        };
        Self {
            config,
            process,
            job,
            metrics,
            ready,
            asker,
            scribe,
            publish,
            dispatcher,
            book: Book::default(),
            run: None,
            volume,
            looked_at: Instant::now(),
            server: ServerView::default(),
            live: Vec::new(),
            torn: Vec::new(),
            adopted: false,
            said_of_loads: Said::default(),
            said_of_server: Said::default(),
            started_at,
        }
    }

    async fn live(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        mut seen: mpsc::Receiver<Sighting>,
    ) {
        let (ledgers, mut ledger) = mpsc::channel::<LedgerRead>(1);
        let mut next_ledger = Instant::now();
        let mut reading = false;
        let mut rescan = tokio::time::interval(self.config.rescan);
        let shutdown = self.process.shutdown.clone();
        loop {
            self.remind();
            self.show();
            if self.dispatcher.wants_reading() {
                next_ledger = Instant::now();
            }
            let wake = self
                .dispatcher
                .next_wake()
                .unwrap_or_else(|| Instant::now() + LEDGER_LATER);
            tokio::select! {
                Some(message) = messages.recv() => self.message(message),
                Some(sighting) = seen.recv() => self.sighting(sighting),
                ended = Run::end(&mut self.run) => {
                    self.ended(ended);
                    next_ledger = Instant::now();
                }
                Some(read) = ledger.recv() => {
                    reading = false;
                    if self.dispatcher.is_current(read.number) {
                        self.ledger(read);
                        next_ledger = Instant::now() + self.ledger_pause();
                    } else {
                        next_ledger = Instant::now();
                    }
                }
                () = tokio::time::sleep_until(next_ledger.into()), if !reading => {
                    reading = true;
                    self.read_ledger(ledgers.clone());
                }
                () = tokio::time::sleep(REFRESH), if self.run.is_some() => {}
                () = tokio::time::sleep_until(wake.into()) => self.input(Input::Tick),
                _ = rescan.tick() => self.poke_fetch(),
                () = shutdown.cancelled() => break,
            }
        }
        self.close().await;
    }

    fn ledger_pause(&self) -> Duration {
        if self.live.is_empty() || self.dispatcher.awaits_ledger() {
            LEDGER_EARLY
        } else {
            LEDGER_LATER
        }
    }

    /// Ends the running load safely; what was asked for is left for the next process.
    async fn close(mut self) {
        self.input(Input::Drain);
        if self.run.is_some() {
            let ended = Run::end(&mut self.run).await;
            self.ended(ended);
        }
        self.show();
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Ask { id, release, reply } => {
                // Two callers of one id may have found it free at the same time.
                if self.book.get(&id).is_some() {
                    let _ = reply.send(Ok(()));
                    return;
                }
                // The volume is looked at anew: what was written just before the call must count.
                let look = self.asker.ask();
                let asked = self
                    .dispatcher
                    .ask(Instant::now(), id.clone(), release.clone(), look);
                let answer = match asked {
                    Ok(orders) => {
                        self.book.open(&id, release);
                        self.carry_out(orders, None);
                        self.poke_fetch();
                        Ok(())
                    }
                    Err(refusal) => Err(refusal),
                };
                self.show();
                // The caller may have gone: the load stays.
                let _ = reply.send(answer);
            }
            Message::Cancel { id, reply } => {
                self.input(Input::Cancel(id));
                self.show();
                let _ = reply.send(());
            }
            Message::Drain => {
                info!("drains: no load starts any more");
                self.input(Input::Drain);
            }
        }
    }

    fn sighting(&mut self, sighting: Sighting) {
        self.looked_at = Instant::now();
        match sighting {
            Sighting::Settled {
                look,
                release,
                status,
            } => {
                self.metrics.looked();
                self.volume.settled = release.is_some();
                let digest = release.as_ref().map(|release| release.digest.clone());
                if digest != self.volume.digest {
                    self.volume.since = digest.as_ref().map(|_| unix_now());
                    self.metrics.saw(digest.as_deref());
                }
                self.volume.version = release.as_ref().and_then(|r| r.version.clone());
                self.volume.digest = digest;
                self.volume.status = status;
                self.input(Input::Looked { look, release });
            }
            Sighting::Unsettled { status } => {
                self.metrics.looked();
                self.volume.settled = false;
                self.volume.status = status;
            }
            Sighting::Silent => {
                self.metrics.watch_is_silent();
                self.volume.watching = "polling";
            }
        }
    }

    fn input(&mut self, input: Input) {
        let orders = self.dispatcher.handle(Instant::now(), input);
        self.carry_out(orders, None);
    }

    fn carry_out(&mut self, orders: Vec<Order>, report: Option<&Report>) {
        for order in orders {
            match order {
                Order::Start(release) => {
                    info!(release = %release.digest, path = %release.path.display(), "load starts");
                    self.run = Some(Run::start(&self.process, Arc::clone(&self.job), release));
                }
                Order::Stop => {
                    if let Some(run) = &self.run {
                        run.stop();
                    }
                }
                Order::Mark { id, mark } => self.mark(&id, mark, report),
            }
        }
    }

    fn mark(&mut self, id: &str, mark: Mark, report: Option<&Report>) {
        let record = self.book.mark(id, mark, report);
        self.scribe.note(record);
    }

    fn ended(&mut self, ended: Ended) {
        let Ended {
            release,
            took,
            result,
        } = ended;
        let digest = release.digest;
        let (outcome, report) = match result {
            Ok(report) => {
                info!(release = %digest, "{}", report.sentence());
                self.said_of_loads = Said::default();
                (Ok(()), Some(report))
            }
            Err(failure) => {
                let error = trouble::sentence(&failure);
                self.tell(&digest, &failure, &error);
                (Err((failure.kind(), error)), None)
            }
        };
        let state = match &outcome {
            Ok(()) => State::Succeeded,
            Err((pilotfish_failure::Kind::Cancelled, _)) => State::Cancelled,
            Err(_) => State::Failed,
        };
        let (rows, bytes) = report
            .as_ref()
            .map_or((0, 0), |report| (report.rows, report.bytes));
        self.metrics.ended(state, took, rows, bytes);
        let orders = self
            .dispatcher
            .handle(Instant::now(), Input::Ended(outcome));
        self.carry_out(orders, report.as_ref());
    }

    /// Tells `fetch` that somebody waits for a release that is not on the volume.
    fn poke_fetch(&self) {
        let (fetch, token_file) = (&self.config.fetch, &self.config.token_file);
        if let (true, Some(fetch), Some(token_file)) =
            (self.dispatcher.wants_release(), fetch, token_file)
        {
            tokio::spawn(fetch.clone().ask_for_a_look(token_file.clone()));
        }
    }

    /// Publishes the picture.
    fn show(&self) {
        let now = self.run.as_ref().map(Run::snapshot);
        self.metrics.progress(now.as_ref());
        self.metrics.current(self.dispatcher.is_level());
        let obstacle = self.dispatcher.obstacle();
        self.metrics.blocked(obstacle.as_ref());
        self.say_ready(obstacle.as_ref());
        let (ready, ready_why) = self.ready.get();
        let view = View {
            version: env!("CARGO_PKG_VERSION"),
            now: unix_now(),
            started_at: self.started_at,
            ready,
            ready_why,
            draining: self.dispatcher.is_draining(),
            volume: self.volume.clone(),
            server: self.server.clone(),
            live: self.live.clone(),
            obstacle: obstacle.as_ref().map(ObstacleView::of),
            ..View::of_loads(&self.book.newest(), now.as_ref())
        };
        self.publish.send_replace(Arc::new(view));
    }
}
