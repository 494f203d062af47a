//! The workers of one scrape: one at first, and another one whenever that takes long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, timeout_at};

use super::order::Order;
use super::outcome::Report;
use super::{Crew, Scrape, lane};

/// A scrape that takes so long gets another lane. Two sessions at once cost the server more than one after the other,
/// and most scrapes are over by then.
const HELP: Duration = Duration::from_millis(50);

/// Workers at work, and those that could still be sent.
pub(super) struct Shift {
    crew: Arc<Crew>,
    order: Arc<Order>,
    sender: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
    /// The first lanes have a worker.
    sent: usize,
    help: Instant,
}

impl Shift {
    /// With a worker in the first lane.
    pub(super) fn begin(crew: &Arc<Crew>, order: &Arc<Order>) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let mut shift = Self {
            crew: Arc::clone(crew),
            order: Arc::clone(order),
            sender,
            reports,
            sent: 0,
            help: Instant::now(),
        };
        shift.send_next();
        shift
    }

    /// Notes what workers tell, until all is told, nobody is left or the time is over.
    pub(super) async fn work(mut self, scrape: &mut Scrape) {
        while !self.order.is_done(scrape) {
            let until = match self.has_more() {
                true => self.help.min(self.order.deadline),
                false => self.order.deadline,
            };
            match timeout_at(until, self.reports.recv()).await {
                Ok(Some(report)) => {
                    let ends_it = report.ends_it(scrape);
                    scrape.note(report);
                    if ends_it {
                        return;
                    }
                }
                Ok(None) => return,
                Err(_) if Instant::now() >= self.order.deadline => return,
                Err(_) => {}
            }
            let nobody_is_left = scrape.left == self.sent;
            if self.has_more() && (nobody_is_left || Instant::now() >= self.help) {
                self.send_next();
            } else if nobody_is_left {
                return;
            }
        }
    }

    fn has_more(&self) -> bool {
        self.sent < self.crew.lanes.len()
    }

    fn send_next(&mut self) {
        if let Some(lane) = self.crew.lanes.get(self.sent) {
            tokio::spawn(lane::work(
                Arc::clone(&self.crew),
                Arc::clone(lane),
                Arc::clone(&self.order),
                self.sender.clone(),
            ));
            self.sent += 1;
        }
        self.help = Instant::now() + HELP;
    }
}
