//! `--metrics`: how a run stands, for Prometheus.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::cli::error::CliError;
use crate::cli::output::Output;
use crate::clock::SystemClock;
use crate::http::{ConnectionLimits, metrics_router, serve};

/// How many readers may wait at once for the next look.
const WAITING_MAX: usize = 16;

/// The page, which ends when this is dropped.
#[derive(Debug)]
pub(in crate::cli) struct MetricsPage {
    asked: mpsc::Receiver<oneshot::Sender<String>>,
    _stop: watch::Sender<bool>,
}

impl MetricsPage {
    /// Begins to listen, and says where.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub(in crate::cli) async fn listen(
        address: SocketAddr,
        output: &Output,
    ) -> Result<Self, CliError> {
        let failed = |error| CliError::Failed(format!("--metrics {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        output.message(&format!("metrics http://{bound}/metrics"));
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let router = metrics_router(move || {
            let asks = asks.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                asks.try_send(answer).ok()?;
                answered.await.ok()
            }
        });
        let (stop, stopped) = watch::channel(false);
        let limits = ConnectionLimits::default();
        tokio::spawn(serve(listener, router, limits, SystemClock::new(), stopped));
        Ok(Self { asked, _stop: stop })
    }

    /// Answers whoever has asked since the last look; `page` is only made where somebody has.
    pub(in crate::cli) fn answer(&mut self, page: impl FnOnce() -> String) {
        let Ok(first) = self.asked.try_recv() else {
            return;
        };
        let text = page();
        let mut waiting = Some(first);
        while let Some(answer) = waiting {
            // A reader that has gone away is no fault.
            drop(answer.send(text.clone()));
            waiting = self.asked.try_recv().ok();
        }
    }
}
